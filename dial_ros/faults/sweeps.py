"""Slow and fast: System-2's latency, the camera's rate, a core that is busy elsewhere. Measured, with what must hold beside it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.spoilers import Spoiler, at_rate, delayed
from dial_ros.faults.stage import GraphUnderTest
from dial_ros.faults.stream_faults import HORIZON_S, watch_recovery
from dial_ros.msg import System1Status

CAMERA_HZ = 20.0  # of the simulated robot
SWEEP_S = 6.0
RUNNING, HOLDING = System1Status.STATE_RUNNING, System1Status.STATE_HOLDING
ALLOWED = (RUNNING, HOLDING, System1Status.STATE_WAITING)


@dataclass(frozen=True)
class Sweep:
    """One setting of a sweep: a stream delayed or at another rate for some seconds.

    Fields:
        works: System-1 must run all the time; False: it must hold all the time after the horizon; None: either.
    """

    name: str
    stream: str
    spoiler: Spoiler
    works: bool | None
    quick: bool = False

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Spoils for SWEEP_S, judges the states meanwhile, lets go."""
        begin_ns = stage.witness.now_ns
        stage.saboteur.relays[self.stream].spoil(self.spoiler)
        stage.during(SWEEP_S)
        judge_states(stage, outcome, self.works, begin_ns)
        stage.saboteur.recover()
        watch_recovery(stage, outcome, stage.witness.now_ns)


def judge_states(stage: GraphUnderTest, outcome: Outcome, works: bool | None, begin_ns: int) -> None:
    """Checks System-1's states since `begin_ns` as `Sweep.works` wants them, and notes the share in which it ran."""
    statuses = stage.witness.statuses
    late = [s for s in statuses if to_ns(s.stamp) - begin_ns > HORIZON_S * NANOSECONDS]
    ran = sum(s.state == RUNNING for s in late)
    share = f"ran in {ran} of {len(late)} reports"
    if works is None:
        outcome.check("runs or holds, nothing else", all(s.state in ALLOWED for s in statuses) and bool(late), share)
    elif works:
        outcome.check("works on", bool(late) and ran == len(late), share)
    else:
        outcome.check("holds beyond the horizon", bool(late) and ran == 0, share)


@dataclass(frozen=True)
class BusyCore:
    """One core fully loaded by a process that only counts."""

    name: str = "one core fully loaded"
    quick: bool = True

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Loads it for SWEEP_S of the robot's time."""
        begin_ns = stage.witness.now_ns
        with _busy_process():
            stage.during(SWEEP_S)
        judge_states(stage, outcome, None, begin_ns)
        watch_recovery(stage, outcome, stage.witness.now_ns)


@contextmanager
def _busy_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _latency(delay_ms: int) -> Sweep:
    """A foresight is used from its arrival on, until the next one, a period of 0.25 s and a latency later, comes: within the horizon
    that works for delays up to about a third of a second; a delay of the horizon can never work."""
    works = True if delay_ms <= 200 else False if delay_ms >= HORIZON_S * 1000 else None
    return Sweep(f"System-2 {delay_ms} ms later", "foresight", delayed(delay_ms / 1000), works, quick=delay_ms in (200, 1000))


def _camera(rate_hz: float) -> Sweep:
    return Sweep(f"camera at {rate_hz:g} Hz", "camera", at_rate(CAMERA_HZ, rate_hz), True, quick=rate_hz == 5)


SWEEPS: tuple[Sweep | BusyCore, ...] = (
    *(_latency(delay_ms) for delay_ms in (0, 100, 200, 400, 600, 800, 1000)),
    *(_camera(rate_hz) for rate_hz in (5, 10, 20, 30, 60)),
    BusyCore(),
)
