"""A hold beside a fault needs a cause outside of System-1: inputs that were relayed late, or threads that had no processor."""

import os
import threading

import pytest

from dial_core.control.motion import NANOSECONDS
from dial_ros.faults.hold_causes import ProcessorWait, unaccounted, waited_ns
from dial_ros.msg import System1Status
from dial_ros.node.messages import to_time

HELD_NS = 100 * NANOSECONDS
OLD_CAMERA = "camera 0.55 s old (limit 0.50 s)"
OLD_BOTH = f"{OLD_CAMERA}; joint_states 0.52 s old (limit 0.20 s)"
OLD_CHUNK = "chunk 1.06 s old (limit 1.00 s)"


class RelayedUntil:
    """Stands for a relay: the newest message that it had sent on was `age_s` old."""

    def __init__(self, age_s):
        self._age_s = age_s

    def age_s(self, time_ns):
        return self._age_s - (HELD_NS - time_ns) / NANOSECONDS


class Waited(ProcessorWait):
    """A process that waited for a processor for this share of the time."""

    def __init__(self, share):
        super().__init__(os.getpid())
        self._waited.extend(
            (time_ns, {"1": round(share * time_ns)}) for time_ns in range(HELD_NS - 2 * NANOSECONDS, HELD_NS + 1, 50_000_000)
        )


def held(reason, state=System1Status.STATE_HOLDING):
    return System1Status(state=state, reason=reason, last_change=to_time(HELD_NS))


@pytest.mark.parametrize(
    ("reason", "relayed_s", "waited", "accounted"),
    [
        (OLD_CAMERA, 0.56, 0.0, True),  # it was relayed late
        (OLD_CAMERA, 0.06, 0.9, True),  # System-1 had no processor to take it
        (OLD_CAMERA, 0.06, 0.3, False),
        (OLD_CAMERA, 0.06, 0.0, False),  # System-1 had frames, time, and held all the same
        (OLD_BOTH, 0.56, 0.0, True),
        (OLD_BOTH, 0.3, 0.0, False),  # joint states explain theirs, and no more
        (OLD_CHUNK, 0.06, 0.9, True),
        (OLD_CHUNK, 0.56, 0.0, False),  # no relay makes chunks late
        ("no exclusive access, refused: /misconfigured/misconfigured publishes too", 0.9, 0.9, False),
        (f"{OLD_CAMERA}; no clock", 0.9, 0.9, False),
        ("foresight 0.90 s old (limit 0.80 s), refused: stale: 0.90 s", 0.9, 0.9, False),
        ("", 0.9, 0.9, False),
    ],
)
def test_a_hold_is_accounted_for_only_by_what_was_late_before_or_around_system1(reason, relayed_s, waited, accounted):
    relays = {stream: RelayedUntil(relayed_s) for stream in ("camera", "joints", "foresight")}
    assert (unaccounted([held(reason)], relays, Waited(waited)) == []) is accounted


@pytest.mark.parametrize("state", [System1Status.STATE_DISARMED, System1Status.STATE_WAITING, System1Status.STATE_STOPPED])
def test_no_machine_accounts_for_another_state(state):
    relays = {"camera": RelayedUntil(0.9)}
    assert unaccounted([held(OLD_CAMERA, state)], relays, Waited(1.0)) == [OLD_CAMERA]


def test_a_running_system1_needs_no_account():
    assert unaccounted([held("", System1Status.STATE_RUNNING)], {}, Waited(0.0)) == []


def test_waiting_before_anything_was_noted_counts_as_none():
    assert ProcessorWait(os.getpid()).within_s(0, HELD_NS) == 0.0


def test_the_kernel_says_how_long_this_process_has_waited():
    own = str(threading.get_native_id())
    first = waited_ns(os.getpid())[own]
    assert 0 <= first <= waited_ns(os.getpid())[own]


def test_threads_that_wait_a_little_each_do_not_add_up():
    wait = ProcessorWait(os.getpid())
    wait._waited.extend([(0, {"1": 0, "2": 0}), (NANOSECONDS, {"1": NANOSECONDS // 10, "2": NANOSECONDS // 5, "3": NANOSECONDS // 10})])
    assert wait.within_s(0, NANOSECONDS) == pytest.approx(0.2)
