"""Timing: latency of System-2, rate of the camera, cores that are busy with something else."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults.checks import HORIZON_S, check_recovery
from dial_ros.faults.corruptions import Corruption, at_rate, delayed
from dial_ros.faults.graph_under_test import RUNNING, GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.priority_and_memory import normal_priority
from dial_ros.msg import System1Status

CAMERA_HZ = 20.0  # of the simulated robot
SWEEP_S = 4.0
ALLOWED = (RUNNING, System1Status.STATE_HOLDING, System1Status.STATE_WAITING)


@dataclass(frozen=True)
class Sweep:
    """One setting of a sweep: a stream delayed or at another rate for some seconds.

    Fields:
        works: System-1 must run all the time; False: it must hold all the time after the horizon; None: either.
    """

    name: str
    stream: str
    corruption: Corruption
    works: bool | None
    quick: bool = False

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Corrupts the stream for SWEEP_S, judges the states meanwhile, ends the fault."""
        begin_ns = graph.monitor.now_ns
        graph.injector.relays[self.stream].corrupt(self.corruption)
        graph.during(SWEEP_S)
        judge_states(graph, outcome, self.works, begin_ns)
        graph.injector.recover()
        check_recovery(graph, outcome, graph.monitor.now_ns)


def judge_states(graph: GraphUnderTest, outcome: Outcome, works: bool | None, begin_ns: int) -> None:
    """Checks System-1's states since `begin_ns` against `Sweep.works`."""
    statuses = graph.monitor.statuses
    late = [s for s in statuses if to_ns(s.stamp) - begin_ns > HORIZON_S * NANOSECONDS]
    ran = sum(s.state == RUNNING for s in late)
    share = f"ran in {ran} of {len(late)} reports"
    if works is None:
        outcome.check("runs or holds, nothing else", all(s.state in ALLOWED for s in statuses) and bool(late), share)
    elif works:
        outcome.check("keeps running", bool(late) and ran == len(late), share)
    else:
        outcome.check("holds beyond the horizon", bool(late) and ran == 0, share)


@dataclass(frozen=True)
class BusyMachine:
    """Processes that only count, at the nodes' own priority."""

    name: str
    processes: int
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Runs them for SWEEP_S of the robot's time. On an overloaded machine the robot may hold; it must not break limits."""
        begin_ns = graph.monitor.now_ns
        with ExitStack() as busy:
            with normal_priority():
                busy.enter_context(busy_processes(self.processes))
            graph.during(SWEEP_S)
        judge_states(graph, outcome, None, begin_ns)
        check_recovery(graph, outcome, graph.monitor.now_ns)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """`count` processes that compute without a pause, as long as the context lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _latency(delay_ms: int) -> Sweep:
    """A foresight is used until the next one arrives, a period of 0.25 s and a latency later. With the horizon of 0.8 s that
    works for delays up to about a third of a second; a delay of the horizon cannot work."""
    works = True if delay_ms <= 200 else False if delay_ms >= HORIZON_S * 1000 else None
    return Sweep(f"System-2 {delay_ms} ms later", "foresight", delayed(delay_ms / 1000), works, quick=delay_ms in (200, 1000))


def _camera(rate_hz: float) -> Sweep:
    return Sweep(f"camera at {rate_hz:g} Hz", "camera", at_rate(CAMERA_HZ, rate_hz), True, quick=rate_hz == 5)


TIMING_FAULTS: tuple[Sweep | BusyMachine, ...] = (
    *(_latency(delay_ms) for delay_ms in (0, 100, 200, 400, 600, 800, 1000)),
    *(_camera(rate_hz) for rate_hz in (5, 10, 20, 30, 60)),
    BusyMachine("one core fully loaded", 1),
    BusyMachine("machine overloaded: 10 busy processes", 10),
)
