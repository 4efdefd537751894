"""All trajectory controllers of a simulated robot: trajectories in, set-points of every joint out. Safe from two threads."""

import threading

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.joint_trajectory_controller import TrajectoryRejectedError, TrajectoryRequest
from dial_core.finiteness import require_finite
from dial_core.robot.embodiment import Embodiment


class ControllerBank:
    """The emulated controllers of an embodiment, and their clock."""

    def __init__(self, embodiment: Embodiment, period_ns: int) -> None:
        """`period_ns`: of the controllers' updates."""
        self._names = embodiment.joint_names
        self._controllers = EmulatedControllers(embodiment, period_ns)
        self._lock = threading.Lock()
        self._now_ns = self._farthest_ns = 0  # the latter: that the clock showed before a reset
        self.accepted = self.rejected = self.outdated = 0
        self.last_rejection = ""

    def accept(self, name: str, message: JointTrajectory) -> str:
        """Hands a trajectory to the controller `name`; empty if it is played now or outdated, else why it is rejected.

        Outdated: on its way when the world was reset, recognised by a stamp that the clock had passed before and has not reached
        again. No real controller meets that, so it is no rejection: it is counted apart, and the world plays nothing of it.
        """
        try:
            request = TrajectoryRequest.from_message(message)
            with self._lock:
                if self._now_ns < request.stamp_ns <= self._farthest_ns:
                    self.outdated += 1
                    return ""
                self._controllers.accept_one(name, request, self._now_ns)
                self.accepted += 1
        except TrajectoryRejectedError as error:
            self.rejected += 1
            self.last_rejection = str(error)
            return self.last_rejection
        return ""

    def advance(self, now_ns: int) -> np.ndarray:
        """Set-points (J,) [rad] at `now_ns`, which is the controllers' time from then on.

        Raises:
            NotFiniteError: a trajectory commands positions that are not finite; the controllers do not check that.
        """
        with self._lock:
            self._now_ns = now_ns
            targets = self._controllers.sample(now_ns)
        require_finite(targets, "positions that a trajectory commands", self._names, "a real servo could move anywhere")
        return targets

    def references(self) -> dict[str, tuple[int | None, np.ndarray, np.ndarray]]:
        """Controller -> origin [ns] of the trajectory that it plays (None: none), commanded positions [rad] and velocities [rad/s]."""
        with self._lock:
            return self._controllers.references()

    def hold(self, set_points: np.ndarray, now_ns: int) -> None:
        """Forgets all trajectories and stands at `set_points` (J,) [rad] (start, reset)."""
        with self._lock:
            if now_ns < self._now_ns:
                self._farthest_ns = max(self._farthest_ns, self._now_ns)
            self._now_ns = now_ns
            self._controllers.hold(set_points)
