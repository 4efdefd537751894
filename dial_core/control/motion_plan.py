"""The commanded motion over time: overlap strategy, splice, limits, and the way to the controllers in time, without ROS.

The nodes and the offline benchmark play the same plan.

A controller that has a new trajectory plays it from that moment on, whatever it played before. So the new motion repeats
the running one until `takes_over`, and must be there by then: one that comes later makes the set-points jump. What System-1
does itself (splicing, making messages) is waited for before anything is published, and a motion that could not keep the
lead is spliced anew, later. What remains between publishing and the controllers is the transport: the lead is kept for it.
"""

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dial_core.control.joint_limits import Clamps, Guard
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.overlap import Committed, make_overlap
from dial_core.control.splice import hold, splice
from dial_core.errors import DialError

SPLICE_LEAD_S = 0.05  # kept for the transport, unless a robot's own parameter says otherwise
REMEMBERED = 10
ATTEMPTS = 3  # to have a motion ready in time
LONGEST_PREPARATION_S = 0.15  # more is not reckoned with: one hiccup must not put off the next chunks beyond their horizon
HOLD_HISTORY_S = 0.2  # a hold begins so long before now: the present must lie between its points
JUMP_S = 0.5  # a clock that goes back so far was set back; what it shows between two ticks is reckoned, and may be corrected


class SpliceMissedError(DialError):
    """A chunk could not be made ready in time; nothing was sent and the running motion goes on."""


class Outlet(Protocol):
    """The way to the controllers."""

    def now_ns(self) -> int:
        """What the controllers' clock shows now [ns], as fresh as can be."""

    def prepare(self, motion: JointMotion) -> Callable[[], None]:
        """Does all that takes time; what comes back only publishes."""


@dataclass(frozen=True)
class Sent:
    """A motion that is on its way: when [ns], from when on it rules [ns], and which limits moved its targets."""

    sent_ns: int
    takes_over_ns: int
    clamps: Clamps


class Longest:
    """The longest of the last ten durations [s]. Longest, because whoever is late takes over where another was meant to rule."""

    def __init__(self) -> None:
        self._durations_s: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, begin_ns: int, end_ns: int) -> None:
        """One duration; one that a jump of the clock made negative is left out."""
        if end_ns >= begin_ns:
            self._durations_s.append((end_ns - begin_ns) / NANOSECONDS)

    @property
    def seconds(self) -> float | None:
        """None before the first."""
        return max(self._durations_s, default=None)


class MotionPlan:
    """What the controllers play, and how it goes on. Callers keep to one thread at a time."""

    def __init__(self, joints: slice, step_s: float, guard: Guard, lead_s: float, strategy: str) -> None:
        """`joints`: where they stand in an action; `lead_s`: kept between publishing a motion and its taking over [s]."""
        self.guard, self.lead_s = guard, lead_s
        self.running: JointMotion | None = None
        self._joints, self._step_s = joints, step_s
        self._overlap = make_overlap(strategy, step_s)
        self._ways, self._preparations = Longest(), Longest()

    @property
    def reckoned_delay_s(self) -> float:
        """From an observation to the moment its chunk takes over [s]; one step before the first chunk."""
        way_s = self._ways.seconds
        return self._step_s if way_s is None else way_s + self.lead_s

    def takes_over_ns(self, now_ns: int) -> int:
        """When a motion that is begun now takes over: splicing and making messages take their time, then the lead."""
        preparation_s = min(self._preparations.seconds or 0.0, LONGEST_PREPARATION_S)
        return now_ns + round((preparation_s + self.lead_s) * NANOSECONDS)

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` must agree with, if the strategy asks for it."""
        return self._overlap.committed(stamp_ns, self.reckoned_delay_s)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, outlet: Outlet) -> Sent:
        """Goes over to a chunk (H, A).

        Args:
            stamp_ns: time of the chunk's observation.
            measured: joints then (J,) [rad]: where the motion starts if none runs.

        Raises:
            ChunkTooLateError: all targets are past.
            SpliceMissedError: it could not be made ready in time, or the clock was set back meanwhile.
            After either nothing was sent, and nothing has changed but the measured durations.
        """
        begun_ns = outlet.now_ns()
        _require_no_jump(stamp_ns, begun_ns)
        running = self.running or JointMotion.standing(stamp_ns, measured)
        overlap = copy(self._overlap)
        takes_over_ns = self.takes_over_ns(begun_ns)
        targets = overlap.targets(stamp_ns, chunk, takes_over_ns)[:, self._joints]
        for _ in range(ATTEMPTS):
            motion, clamps = splice(running, targets, stamp_ns, takes_over_ns, self._step_s, self.guard, measured)
            publish = outlet.prepare(motion)
            ready_ns = outlet.now_ns()
            _require_no_jump(begun_ns, ready_ns)
            self._preparations.note(begun_ns, ready_ns)
            if self._leaves_the_lead(ready_ns, takes_over_ns):
                publish()
                self.running, self._overlap = motion, overlap
                self._ways.note(stamp_ns, ready_ns)
                return Sent(ready_ns, takes_over_ns, clamps)
            begun_ns, takes_over_ns = ready_ns, self.takes_over_ns(ready_ns)
        raise SpliceMissedError(f"splicing and making messages took too long {ATTEMPTS} times in a row; the running motion goes on")

    def hold(self, outlet: Outlet) -> JointMotion | None:
        """Decelerates what runs and drops what earlier chunks intended; None before the first chunk: nothing runs."""
        self._overlap.forget()
        if self.running is None:
            return None
        for attempt in range(1, ATTEMPTS + 1):
            begun_ns = outlet.now_ns()
            takes_over_ns = self.takes_over_ns(begun_ns)
            origin_ns = max(begun_ns - round(HOLD_HISTORY_S * NANOSECONDS), 1)  # 0 would mean: whenever it arrives
            motion = hold(self.running, origin_ns, takes_over_ns, self.guard)
            publish = outlet.prepare(motion)
            ready_ns = outlet.now_ns()
            self._preparations.note(begun_ns, ready_ns)
            # A stop goes out in any case, the last time even if the controllers may feel it.
            if self._leaves_the_lead(ready_ns, takes_over_ns) or attempt == ATTEMPTS:
                publish()
                break
        self.running = motion
        return motion

    def forget(self) -> None:
        """The next chunk starts from the measured joints (the clock jumped, the robot was moved)."""
        self._overlap.forget()
        self.running = None

    def _leaves_the_lead(self, ready_ns: int, takes_over_ns: int) -> bool:
        return ready_ns + round(self.lead_s * NANOSECONDS) <= takes_over_ns


def _require_no_jump(earlier_ns: int, now_ns: int) -> None:
    """Raises SpliceMissedError if the clock was set back in between."""
    if now_ns < earlier_ns - JUMP_S * NANOSECONDS:
        raise SpliceMissedError("the clock was set back while the chunk was made; it is not sent")
