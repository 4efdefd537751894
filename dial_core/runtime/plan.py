"""The commanded motion over time: overlap strategy, splice, limits and measured delay, without ROS.

The nodes and the offline benchmark play the same plan.
"""

from collections import deque

import numpy as np

from dial_core.runtime.guard import Clamps, Guard
from dial_core.runtime.motion import NANOSECONDS, JointMotion
from dial_core.runtime.overlap import Committed, make_overlap
from dial_core.runtime.stitching import hold, splice

REMEMBERED = 10


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
        """`joints`: where they stand in an action; `lead_s`: a motion takes over this long after it is sent [s]."""
        self.guard, self.lead_s = guard, lead_s
        self.running: JointMotion | None = None
        self._joints, self._step_s = joints, step_s
        self._overlap = make_overlap(strategy, step_s)
        self._ways, self._sendings = Longest(), Longest()

    @property
    def reckoned_delay_s(self) -> float:
        """From an observation to the moment its chunk takes over [s]; one step before the first chunk."""
        way_s = self._ways.seconds
        return self._step_s if way_s is None else way_s + self.lead_s

    def takes_over_ns(self, now_ns: int) -> int:
        """When a motion that is begun now takes over: splicing and sending take their time, then the lead."""
        return now_ns + round(((self._sendings.seconds or 0.0) + self.lead_s) * NANOSECONDS)

    def sent(self, stamp_ns: int, begun_ns: int, sent_ns: int) -> None:
        """A chunk's motion, begun at `begun_ns`, is on its way. What was never sent (a warm-up) is never reckoned with."""
        self._ways.note(stamp_ns, sent_ns)
        self._sendings.note(begun_ns, sent_ns)

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` must agree with, if the strategy asks for it."""
        return self._overlap.committed(stamp_ns, self.reckoned_delay_s)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> Clamps:
        """Goes over to a chunk (H, A); which limits moved its targets.

        Args:
            stamp_ns: time of the chunk's observation.
            measured: joints then (J,) [rad]: where the motion starts if none runs.
            now_ns: now; say `sent` when it is on its way.

        Raises:
            ChunkTooLateError: all targets are past; nothing changes but what the strategy remembers.
        """
        running = self.running or JointMotion.standing(stamp_ns, measured)
        takes_over_ns = self.takes_over_ns(now_ns)
        targets = self._overlap.targets(stamp_ns, chunk, takes_over_ns)[:, self._joints]
        self.running, clamps = splice(running, targets, stamp_ns, takes_over_ns, self._step_s, self.guard, measured)
        return clamps

    def hold(self, now_ns: int) -> JointMotion | None:
        """Decelerates what runs and drops what earlier chunks intended; None before the first chunk: nothing runs."""
        self._overlap.forget()
        if self.running is not None:
            self.running = hold(self.running, now_ns, self.lead_s, self.guard)
        return self.running

    def forget(self) -> None:
        """The next chunk starts from the measured joints (the clock jumped, the robot was moved)."""
        self._overlap.forget()
        self.running = None
