"""One controller behind a guard: what it may execute by what passed, and where it stands once that has ended.

The controller stands where it was sent, unless it was restarted or somebody else commanded it meanwhile: then where it reports to stand, or
where its joints are measured. Measured joints alone do not show which: something may block them, and what fingers grasp does. A person's
reset decides.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from dial_core.control.motion import JointMotion
from dial_core.control.motion_start import MOVED_RAD
from dial_core.control.possible_motions import APPROACH_RAD, PossibleMotions
from dial_core.control.reporting_controller import ReportingController
from dial_core.robot.embodiment import Controller


@dataclass
class GuardedController:
    """State of one controller.

    Fields:
        columns: of its joints in the robot's vectors.
        fingers: True (J',) for joints that are blocked by what they grasp.
        reports: of what it commands, by itself.
        motions: what it may execute by what passed; None: unknown.
        kept: where each joint stands while `motions` is None (J',) [rad]; NaN: where it is measured.
        doubted: True (J',) for joints that a reset takes to stand where they are measured: a trajectory began there and was refused.
        held_until_ns: of the motions that a reset dropped, see PossibleMotions.
        owes_hold: whether it is owed a hold.
        took_ns: the last two judgements of its trajectories, of the robot's time; more joints take longer. A simulated clock, which is
            estimated between its ticks, may go back by more than a judgement took: that one is left out.
    """

    controller: Controller
    columns: np.ndarray
    fingers: np.ndarray
    reports: ReportingController = field(init=False)
    motions: PossibleMotions | None = None
    kept: np.ndarray = field(init=False)
    doubted: np.ndarray = field(init=False)
    held_until_ns: int = 0
    owes_hold: bool = False
    took_ns: deque[int] = field(default_factory=lambda: deque([0, 0], maxlen=2))

    def __post_init__(self) -> None:
        self.reports = ReportingController(self.columns)
        self.forget()

    @property
    def reporting(self) -> bool:
        """Whether it has reported what it commands."""
        return self.reports.reported_ns is not None

    def forget(self) -> None:
        """Drops what it executes and where it stands."""
        self.motions, self.owes_hold, self.held_until_ns = None, False, 0
        self.kept = np.full(len(self.columns), np.nan)
        self.doubted = np.zeros(len(self.columns), dtype=bool)
        self.reports.reset()

    def shift(self, step_ns: int) -> None:
        """The robot's clock was set by `step_ns`."""
        self.held_until_ns += step_ns
        self.reports.shift(step_ns)
        if self.motions is not None:
            self.motions.shift(step_ns)

    def execute(self, motions: PossibleMotions) -> None:
        """A trajectory has passed."""
        self.motions, self.owes_hold = motions, False
        self.doubted[:] = False

    def rests(self, measured_ns: int) -> bool:
        """Whether all motion that passed had ended at the stamp of a joint state."""
        return self.motions is None or measured_ns >= self.motions.newest.end_ns

    def doubt(self, new: JointMotion, place: np.ndarray, measured: np.ndarray, now_ns: int) -> np.ndarray:
        """True (J',) for joints that `new` begins to move from where they are measured, elsewhere than their `place` (J',) [rad].

        All False if another joint begins at neither: such a trajectory is wrong, whatever is measured.
        """
        begin = new.sample(now_ns)[0]
        near_measured, near_place = (np.abs(begin - there) <= APPROACH_RAD for there in (measured, place))
        from_measured = near_measured & ~near_place & (np.abs(measured - place) > APPROACH_RAD)
        return from_measured & (near_measured | near_place).all()

    def reset(self, measured_ns: int, measured: np.ndarray) -> None:
        """Takes a controller whose motion has ended to stand where it reports to.

        One that does not report: where joints are measured (J',) [rad], if they are noticeably elsewhere than sent (and no fingers) or
        the trajectory that was refused began there. These are the joints that System-1 starts at the measured ones (`motion_start`).
        """
        moved, self.doubted = self.doubted, np.zeros_like(self.doubted)
        if not self.rests(measured_ns):
            return
        sent = self.kept if self.motions is None else self.motions.newest.positions[-1]
        moved = moved | ((np.abs(measured - sent) > MOVED_RAD) & ~self.fingers)
        if not (self.reporting or moved.any()):
            return
        self.kept = np.where(moved, np.nan, sent)
        if self.motions is not None:
            self.held_until_ns = self.motions.held_until_ns
            self.motions = None
            self.reports.moved = True  # since its last report: the next ones show where it rests

    def standing_place(self, measured: np.ndarray) -> np.ndarray:
        """Where it stands, which does not report, while `motions` is None (J',) [rad]."""
        return np.where(np.isnan(self.kept), measured, self.kept)
