"""Every thread of a process, DDS's included, becomes real-time; a machine that forbids it is told in one sentence."""

import os
import subprocess
import sys

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


def test_every_thread_is_scheduled_first_in_first_out():
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
