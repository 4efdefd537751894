"""What the robot's clock shows, as seen from this process: its own clock checked against the stamps of the robot's joint states.

Trajectories are stamped in the robot's time. A stamp that the robot's clock has not reached makes a joint_trajectory_controller
coast towards the first point with the velocity it has, through position limits if need be (a step of 10 s: 1.5 rad). So no
stamp is ever taken from a clock that has just stepped: time is unknown until the next joint state has arrived, and if that one
shows that the robot's clock did not follow, its stamps rule from then on.

Clocks: *own* is this node's ROS clock, *steady* never steps, *stamps* are the robot's.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from dial_core.control.motion import NANOSECONDS

STEP_S = 0.5  # a larger difference from one look to the next is a step; less is latency, scheduling and extrapolated ticks
REORDERED_S = 0.1  # stamps of joint states may go back by so much, where several drivers publish them; by more the robot's clock did
WINDOW_S = 1.0  # the least late joint state of this time gives the offset between the clocks
TRUSTED_S = 0.15  # own time ahead of the stamps by less than this is latency: the own clock is then the better one
UNKNOWN_RATE = 20.0  # of simulated to steady time, before joint states show it


def in_order_ns(stamp_ns: int, newest_ns: int | None) -> int:
    """`stamp_ns` [ns] of a joint state, or `newest_ns` where another publisher's newer message overtook it on its way.

    A stamp that lies further back is returned as it is: the robot's clock went back.
    """
    overtaken = newest_ns is not None and 0 < newest_ns - stamp_ns <= REORDERED_S * NANOSECONDS
    return newest_ns if overtaken and newest_ns is not None else stamp_ns


class Which(Enum):
    """Which clock stepped; the values begin a sentence."""

    OWN = "System-1's clock"
    ROBOT = "the robot's clock"


@dataclass(frozen=True)
class Step:
    """A clock step, forward if `seconds` is positive. `followed`: of the robot's clock, found right after one of the own clock."""

    which: Which
    seconds: float
    followed: bool = False

    def __str__(self) -> str:
        return f"{self.which.value} stepped {'forward' if self.seconds > 0 else 'back'} by {abs(self.seconds):.1f} s"


class _Sample(NamedTuple):
    """A joint state: its stamp, and what own and steady clock showed when it arrived [ns]."""

    stamp: int
    own: int
    steady: int

    @property
    def offset(self) -> int:
        """Difference between own and robot's clock, plus the latency [ns]."""
        return self.own - self.stamp


class RobotClock:
    """Compares own clock, steady clock and joint states. All times [ns]. Callers keep to one thread at a time."""

    def __init__(self, simulated: bool) -> None:
        """`simulated`: own time and stamps come from a simulator, which may run faster or slower than the steady clock."""
        self._simulated = simulated
        self._looked: tuple[int, int] | None = None  # own, steady
        self._samples: deque[_Sample] = deque()  # of the last WINDOW_S, the newest in any case
        self._unconfirmed = False  # the own clock stepped, and no joint state has arrived since
        self._steps: list[Step] = []

    def take_steps(self) -> list[Step]:
        """The steps detected since the last call, in order."""
        steps, self._steps = self._steps, []
        return steps

    @property
    def offset_s(self) -> float:
        """How far own time is ahead of the robot's [s]; 0 while latency explains the difference."""
        if not self._samples:
            return 0.0
        offset_s = self._least_offset() / NANOSECONDS
        return 0.0 if 0.0 <= offset_s <= TRUSTED_S else offset_s

    def robot_ns(self, own_ns: int, steady_ns: int) -> int | None:
        """What the robot's clock shows when own and steady clock show these; None while that is not known."""
        self._look(own_ns, steady_ns)
        if self._unconfirmed:
            return None
        if self._samples and self._samples[-1].offset > self._least_offset() + STEP_S * NANOSECONDS:
            return None  # the newest joint state was very late, or a clock drifted away in small steps: wait for a better one
        return own_ns - round(self.offset_s * NANOSECONDS)

    def note_jump_back(self, own_ns: int, steady_ns: int) -> None:
        """The own clock went back, by however little: simulators restart their time. The next joint state shows whether the robot's did."""
        before = self._looked
        self._look(own_ns, steady_ns)
        if not self._unconfirmed and before is not None:
            self._steps.append(Step(Which.OWN, min(own_ns - before[0], 0) / NANOSECONDS))
            self._unconfirmed = bool(self._samples)

    def note_joint_state(self, stamp_ns: int, own_ns: int, steady_ns: int) -> None:
        """Takes the stamp of a joint state that has just arrived, and notes a step of the robot's clock if it shows one."""
        self._look(own_ns, steady_ns)
        sample = _Sample(stamp_ns, own_ns, steady_ns)
        if step_ns := self._robot_step(sample):
            self._steps.append(Step(Which.ROBOT, step_ns / NANOSECONDS, followed=self._unconfirmed))
        if step_ns or self._unconfirmed:
            self._samples.clear()
        self._unconfirmed = False
        self._samples.append(sample)
        while sample.steady - self._samples[0].steady > WINDOW_S * NANOSECONDS:
            self._samples.popleft()

    def _look(self, own_ns: int, steady_ns: int) -> None:
        """Notes a step of the own clock since the last look."""
        if self._looked is not None and self._looked[0]:  # ROS time is 0 until the first tick
            step_ns = self._step(own_ns - self._looked[0], steady_ns - self._looked[1])
            if step_ns:
                self._steps.append(Step(Which.OWN, step_ns / NANOSECONDS))
                self._unconfirmed = bool(self._samples)
        self._looked = own_ns, steady_ns

    def _robot_step(self, sample: _Sample) -> int:
        """By how much the robot's clock stepped [ns]; 0: not. A joint state that is only late is no step."""
        if not self._samples:
            return 0
        last = self._samples[-1]
        progress_ns = sample.stamp - last.stamp
        if progress_ns < (0 if self._unconfirmed else -REORDERED_S * NANOSECONDS):
            return progress_ns - (0 if self._simulated else sample.steady - last.steady)
        if self._unconfirmed:
            return self._step(progress_ns, sample.steady - last.steady)
        ahead_ns = self._least_offset() - sample.offset
        return ahead_ns if ahead_ns > STEP_S * NANOSECONDS else 0

    def _step(self, progress_ns: int, steady_ns: int) -> int:
        """Returns the step [ns] of a clock that advanced by `progress_ns` while the steady clock did by `steady_ns`; 0: none."""
        if self._simulated:
            low_ns, high_ns, expected_ns = 0.0, 2 * self._rate() * steady_ns, 0
        else:
            low_ns = high_ns = expected_ns = steady_ns
        if low_ns - STEP_S * NANOSECONDS <= progress_ns <= high_ns + STEP_S * NANOSECONDS:
            return 0
        return round(progress_ns - expected_ns)

    def _rate(self) -> float:
        """Simulated seconds a second, at least 1."""
        if len(self._samples) < 2 or self._samples[-1].steady == self._samples[0].steady:
            return UNKNOWN_RATE
        first, last = self._samples[0], self._samples[-1]
        return max((last.stamp - first.stamp) / (last.steady - first.steady), 1.0)

    def _least_offset(self) -> int:
        return min(sample.offset for sample in self._samples)
