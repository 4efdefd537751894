"""Every thread of a process, DDS's included, becomes real-time; where that is not permitted, one sentence says what to change.

pytest test/unit/dial_ros/node/test_real_time.py
"""

import os
import subprocess
import sys
import threading

import pytest

from dial_ros.node.real_time import ask_for_real_time

POLICIES = """
import os, threading
from dial_ros.node.real_time import ask_for_real_time
ended = threading.Event()
threads = [threading.Thread(target=ended.wait) for _ in range(3)]
[thread.start() for thread in threads]
print(repr(ask_for_real_time(7)), sorted(os.sched_getscheduler(int(name)) for name in os.listdir("/proc/self/task")))
ended.set()
"""


def test_every_thread_asks_for_the_priority_and_one_that_has_ended_is_no_reason_to_leave_out_others(monkeypatch):
    asked, ended = {}, threading.Event()
    one_has_ended = iter([True])

    def schedule(thread, policy, parameters):
        if next(one_has_ended, False):
            raise ProcessLookupError
        asked[thread] = (policy, parameters.sched_priority)

    monkeypatch.setattr(os, "sched_setscheduler", schedule)
    threads = [threading.Thread(target=ended.wait) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        assert ask_for_real_time(7) == ""
        assert {threading.get_native_id(), *(thread.native_id for thread in threads)} <= asked.keys()
        assert set(asked.values()) == {(os.SCHED_FIFO, 7)}
    finally:
        ended.set()


def test_every_thread_is_scheduled_first_in_first_out():
    """Where this machine permits it; what is asked for is tested above on every machine."""
    out = subprocess.run([sys.executable, "-c", POLICIES], capture_output=True, text=True, timeout=60, check=True).stdout
    if "not permitted" in out:
        pytest.skip("this machine permits no real-time priority")
    assert out.startswith("''")
    assert set(out.split("[")[1].rstrip("]\n").split(", ")) == {str(int(os.SCHED_FIFO))}


def test_a_refusal_says_what_to_change(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    why = ask_for_real_time(40)
    assert "not permitted" in why
    assert "rtprio 40" in why
    assert "real_time_priority" in why
