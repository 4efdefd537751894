"""Why System-1 held beside a fault: what it was sent, or the machine, must account for each hold that it reports.

On a machine that runs ten other processes inputs do arrive late, and System-1 must hold then. A hold is accounted for if each input
that it names was that old in what the injector had relayed, or if one of System-1's threads was waiting for a processor for a good part
of that age.
"""

import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults.fault_injector import Relay
from dial_ros.msg import System1Status

STREAMS = {"camera": "camera", "joint_states": "joints", "foresight": "foresight"}  # input of System-1 -> relay
OLD = re.compile(r"(?P<input>\w+) (?P<age>\d+\.\d+) s old \(limit (?P<limit>\d+\.\d+) s\)")
LATENCY_S = 0.05  # an input is taken in so long after it was relayed, at most, by a process that has a processor
WAITING_SHARE = 0.5  # of an age in which the threads waited for a processor


class ProcessorWait:
    """How long each thread of a process has waited for a processor, over the robot's time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._waited: deque[tuple[int, dict[str, int]]] = deque(maxlen=2000)  # robot's time [ns], by thread: waited until then [ns]

    def note(self, now_ns: int) -> None:
        """Takes the times that were waited until `now_ns`."""
        self._waited.append((now_ns, waited_ns(self._pid)))

    def within_s(self, begin_ns: int, end_ns: int) -> float:
        """Longest that a thread waited between two moments of the robot's time [s]; 0 where nothing was noted around them."""
        before = [waited for time_ns, waited in self._waited if time_ns <= begin_ns]
        until = [waited for time_ns, waited in self._waited if time_ns <= end_ns]
        if not before:
            return 0.0
        return max((waited - before[-1].get(thread, 0) for thread, waited in until[-1].items()), default=0) / NANOSECONDS


def waited_ns(pid: int) -> dict[str, int]:
    """Time for which each thread of a process was ready to run and had no processor [ns] (/proc/<pid>/task/*/schedstat)."""
    waited = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            waited[task] = int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[1])
    return waited


def unaccounted(statuses: Iterable[System1Status], relays: Mapping[str, Relay], wait: ProcessorWait) -> list[str]:
    """Reasons for which System-1 did not run, and which neither what it was sent nor the machine accounts for."""
    left = []
    for status in statuses:
        if status.state == System1Status.STATE_RUNNING or status.reason in left:
            continue
        if status.state != System1Status.STATE_HOLDING or not _accounted(status, relays, wait):
            left.append(status.reason or f"state {status.state}")
    return left


def _accounted(status: System1Status, relays: Mapping[str, Relay], wait: ProcessorWait) -> bool:
    """Whether everything that a hold complains of is an age, and each of these ages has a cause outside of System-1."""
    held_ns, complaints = to_ns(status.last_change), [OLD.fullmatch(part) for part in status.reason.split("; ")]
    for complaint in complaints:
        if complaint is None:
            return False
        age_s, limit_s = float(complaint["age"]), float(complaint["limit"])
        relay = relays.get(STREAMS.get(complaint["input"], ""))
        relayed_s = None if relay is None else relay.age_s(held_ns - round(LATENCY_S * NANOSECONDS))
        old_already = relayed_s is not None and relayed_s + LATENCY_S >= limit_s
        if not old_already and wait.within_s(held_ns - round(age_s * NANOSECONDS), held_ns) < WAITING_SHARE * age_s:
            return False
    return bool(complaints)
