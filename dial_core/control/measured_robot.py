"""What joint states and controllers' reports show a guard of what it has not sent itself: where the robot is, and whether it rests."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from dial_core.control.measured_divergence import MeasuredDivergence
from dial_core.control.motion import NANOSECONDS
from dial_core.control.reporting_controller import ReportingController
from dial_core.control.robot_clock import in_order_ns
from dial_core.control.trajectory_checks import BreachError, TrajectoryCheck

JOINTS_TIMEOUT_S = 0.3  # measured joints older than this say nothing
WATCHED_S = 0.2  # over which a joint must not have moved to be at rest
RESTING_RAD_S = 0.2
REPORTS_TIMEOUT_S = 1.0  # a controller that reported what it commands, and has not since, is taken for inactive


class MeasuredRobot:
    """The joint states of the last WATCHED_S."""

    def __init__(self) -> None:
        self._states: deque[tuple[int, np.ndarray]] = deque()

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest joint state; None before the first."""
        return self._states[-1][0] if self._states else None

    @property
    def positions(self) -> np.ndarray:
        """Joints (J,) [rad] of the newest joint state, which there is."""
        return self._states[-1][1]

    def note(self, stamp_ns: int, positions: np.ndarray) -> None:
        """Takes in measured joints (J,) [rad]. A stamp that lies a little back is of a message that was overtaken."""
        stamp_ns = in_order_ns(stamp_ns, self.newest_ns)
        if self._states and stamp_ns < self._states[-1][0]:
            self._states.clear()
        self._states.append((stamp_ns, positions))
        while stamp_ns - self._states[0][0] > WATCHED_S * NANOSECONDS and len(self._states) > 2:
            self._states.popleft()

    def clear(self) -> None:
        """Drops all joint states (a clock stepped)."""
        self._states.clear()

    def require_newest_ns(self, now_ns: int) -> int:
        """Stamp of the newest joint state. Raises BreachError (MEASURED) if there is none within JOINTS_TIMEOUT_S."""
        if self.newest_ns is None or now_ns - self.newest_ns > JOINTS_TIMEOUT_S * NANOSECONDS:
            raise BreachError(TrajectoryCheck.MEASURED, f"no joint state within the last {JOINTS_TIMEOUT_S} s")
        return self.newest_ns

    def require_rest(self, columns: np.ndarray, names: Sequence[str]) -> None:
        """Raises BreachError (MEASURED) if a joint of `columns`, called `names`, moves that was sent nothing."""
        (first_ns, first), (last_ns, last) = self._states[0], self._states[-1]
        elapsed_s = (last_ns - first_ns) / NANOSECONDS
        if elapsed_s < WATCHED_S / 2:
            raise BreachError(TrajectoryCheck.MEASURED, "joint states have not been received for long enough to know that the robot rests")
        speed = np.abs(last - first)[columns] / elapsed_s
        j = int(speed.argmax())
        if speed[j] > RESTING_RAD_S:
            raise BreachError(TrajectoryCheck.MEASURED, f"{names[j]} moves at {speed[j]:.2f} rad/s, although nothing passed on moves it")

    def reported_place(self, name: str, reports: ReportingController, divergence: MeasuredDivergence, now_ns: int) -> np.ndarray:
        """Where the controller `name`, which was sent nothing, reports to rest (J',) [rad].

        Raises:
            BreachError: MEASURED: it reports that it moves, or something else than is measured, or reports no more.
        """
        assert reports.reported_ns is not None
        silent_s = (now_ns - reports.reported_ns) / NANOSECONDS
        if silent_s > REPORTS_TIMEOUT_S:
            raise BreachError(TrajectoryCheck.MEASURED, f"{name} has not reported for {silent_s:.1f} s what it commands")
        if reports.moved:
            raise BreachError(TrajectoryCheck.MEASURED, f"{name} reports that it moves, although nothing passed on moves it")
        if why := divergence.from_reference(name, reports, self.positions):
            raise BreachError(TrajectoryCheck.MEASURED, why)
        return reports.position
