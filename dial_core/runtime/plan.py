"""The commanded motion over time: overlap strategy, splice, limits and measured delay, without ROS.

The nodes and the offline benchmark play the same plan.
"""

import math
from collections import deque

import numpy as np

from dial_core.runtime.guard import Clamps, Guard
from dial_core.runtime.motion import NANOSECONDS, JointMotion
from dial_core.runtime.overlap import Committed, make_overlap
from dial_core.runtime.stitching import hold, splice

REMEMBERED_WAYS = 10


class DelayEstimate:
    """How long a chunk is on its way: the longest of the last ten, from the observation's stamp to its sending.

    The longest, because a chunk that comes later than reckoned takes over where its predecessor was not meant to rule.
    Only chunks that were sent count: a warm-up call has no stamp and no sending.
    """

    def __init__(self) -> None:
        self._ways_s: deque[float] = deque(maxlen=REMEMBERED_WAYS)

    def note(self, stamp_ns: int, sent_ns: int) -> None:
        """One chunk's way; one that a jump of the clock made negative is left out."""
        if sent_ns >= stamp_ns:
            self._ways_s.append((sent_ns - stamp_ns) / NANOSECONDS)

    @property
    def longest_s(self) -> float:
        """Of the last ways [s]; NaN before the first."""
        return max(self._ways_s, default=math.nan)


class MotionPlan:
    """What the controllers play, and how it goes on. Callers keep to one thread at a time."""

    def __init__(self, joints: slice, step_s: float, guard: Guard, lead_s: float, strategy: str) -> None:
        """`joints`: where they stand in an action; `lead_s`: a motion takes over this long after it is sent [s]."""
        self.guard, self.lead_s = guard, lead_s
        self.running: JointMotion | None = None
        self._joints, self._step_s = joints, step_s
        self._overlap = make_overlap(strategy, step_s)
        self._delay = DelayEstimate()

    @property
    def reckoned_delay_s(self) -> float:
        """From an observation to the moment its chunk takes over [s]; one step before the first chunk."""
        longest_s = self._delay.longest_s
        return self._step_s if math.isnan(longest_s) else longest_s + self.lead_s

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` must agree with, if the strategy asks for it."""
        return self._overlap.committed(stamp_ns, self.reckoned_delay_s)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> Clamps:
        """Goes over to a chunk (H, A); which limits moved its targets.

        Args:
            stamp_ns: time of the chunk's observation.
            measured: joints then (J,) [rad]: where the motion starts if none runs.
            now_ns: time of sending.

        Raises:
            ChunkTooLateError: all targets are past; nothing changes but what the strategy remembers.
        """
        running = self.running or JointMotion.standing(stamp_ns, measured)
        takes_over_ns = now_ns + round(self.lead_s * NANOSECONDS)
        targets = self._overlap.targets(stamp_ns, chunk, takes_over_ns)[:, self._joints]
        self.running, clamps = splice(running, targets, stamp_ns, takes_over_ns, self._step_s, self.guard, measured)
        self._delay.note(stamp_ns, now_ns)
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
