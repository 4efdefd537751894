"""The trajectory controllers of the simulated robot: accepts trajectories, samples set-points of every joint. Thread-safe."""

import threading
from collections.abc import Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.joint_trajectory_controller import TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.finiteness import require_finite
from dial_core.robot.embodiment import Embodiment

LEAST_RATE_HZ = 100  # of the controllers' updates: once in each slice of the simulation


class ControllerBank:
    """The emulated controllers of an embodiment, and their clock."""

    def __init__(self, embodiment: Embodiment, rate_hz: int = LEAST_RATE_HZ) -> None:
        """`rate_hz`: of the controllers' updates, a multiple of LEAST_RATE_HZ. Raises DialError."""
        if rate_hz % LEAST_RATE_HZ:
            raise DialError(f"controller_rate_hz is {rate_hz}; give a multiple of {LEAST_RATE_HZ} Hz")
        self._names, self._period_ns = embodiment.joint_names, NANOSECONDS // rate_hz
        self._controllers = EmulatedControllers(embodiment, self._period_ns)
        self._lock = threading.Lock()
        self._now_ns = self._farthest_ns = 0  # the latter: that the clock showed before a reset
        self._inactive: set[str] = set()
        self.accepted = self.rejected = self.outdated = self.ignored = 0
        self.last_rejection = ""

    def accept(self, name: str, message: JointTrajectory) -> str:
        """Passes a trajectory to the controller `name`. Returns why it is rejected; empty if it is played, outdated or ignored.

        Ignored: the controller is inactive.
        Outdated: on its way when the world was reset, recognised by a stamp that the clock had passed before and has not reached
        again. No real controller meets that, so it is no rejection: it is counted apart, and the world plays nothing of it.
        """
        try:
            request = TrajectoryRequest.from_message(message)
            with self._lock:
                if name in self._inactive:
                    self.ignored += 1
                    return ""
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
        """Advances the controllers to `now_ns` and returns their set-points (J,) [rad].

        Raises:
            NotFiniteError: a trajectory commands positions that are not finite; the controllers do not check that.
        """
        with self._lock:
            self._now_ns = now_ns
            targets = self._controllers.sample(now_ns)
        require_finite(targets, "positions that a trajectory commands", self._names, "a real servo could move anywhere")
        return targets

    def advance_through(self, begin_ns: int, duration_ns: int) -> tuple[Sequence[int], np.ndarray]:
        """Times (K,) [ns] after `begin_ns` of all updates in the next `duration_ns`, and their set-points (K, J) [rad]. As `advance`."""
        updates_ns = range(self._period_ns, duration_ns + 1, self._period_ns)
        return updates_ns, np.array([self.advance(begin_ns + update_ns) for update_ns in updates_ns])

    def references(self) -> dict[str, tuple[int | None, np.ndarray, np.ndarray]]:
        """Returns, by active controller, origin [ns] of its trajectory (None: none), commanded positions [rad] and velocities [rad/s]."""
        with self._lock:
            return {name: reference for name, reference in self._controllers.references().items() if name not in self._inactive}

    def set_active(self, name: str, active: bool) -> None:
        """Activates or deactivates the controller `name`, as controller_manager's switch_controller does.

        Either way it drops its trajectory and holds the last commanded position. An inactive controller ignores trajectories and
        publishes no reference.
        """
        with self._lock:
            self._controllers.stop_one(name)
            self._inactive -= {name}
            if not active:
                self._inactive |= {name}

    def hold(self, set_points: np.ndarray, now_ns: int) -> None:
        """Drops all trajectories and holds `set_points` (J,) [rad] (start, reset)."""
        with self._lock:
            if now_ns < self._now_ns:
                self._farthest_ns = max(self._farthest_ns, self._now_ns)
            self._now_ns = now_ns
            self._controllers.hold(set_points)
