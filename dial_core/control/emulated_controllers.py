"""Emulates all trajectory controllers of an embodiment: accepts motions, samples set-points of every joint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRequest
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.robot.embodiment import Embodiment


class EmulatedControllers:
    """One `JointTrajectoryController` a controller of the embodiment. Not safe from two threads."""

    def __init__(self, embodiment: Embodiment, period_ns: int = 0) -> None:
        """`period_ns`: of the controllers' updates; 0: whenever they are sampled."""
        self._joints = len(embodiment.joints)
        self._index = {c.name: embodiment.indices(c.joints) for c in embodiment.controllers}
        self._controllers = {c.name: JointTrajectoryController(c, np.zeros(len(c.joints)), period_ns) for c in embodiment.controllers}
        self._names = {c.name: tuple(c.joints) for c in embodiment.controllers}

    def requests(self, motion: JointMotion) -> dict[str, TrajectoryRequest]:
        """Returns, by controller, the trajectory that a node would publish for a motion of all joints."""
        times_ns = tuple(round(time_s * NANOSECONDS) for time_s in motion.times_s)
        return {
            name: TrajectoryRequest(
                joint_names=self._names[name],
                stamp_ns=motion.origin_ns,
                times_ns=times_ns,
                positions=tuple(map(tuple, motion.positions[:, index].tolist())),
                velocities=tuple(map(tuple, motion.velocities[:, index].tolist())),
            )
            for name, index in self._index.items()
        }

    def accept(self, requests: Mapping[str, TrajectoryRequest], now_ns: int) -> None:
        """Passes every controller its trajectory.

        Raises:
            TrajectoryRejectedError: one rejects it; those before it play theirs.
        """
        for name, request in requests.items():
            self.accept_one(name, request, now_ns)

    def accept_one(self, name: str, request: TrajectoryRequest, now_ns: int) -> None:
        """Passes the controller `name` its trajectory; raises TrajectoryRejectedError if it rejects it."""
        self._controllers[name].accept(request, now_ns)

    def stop_one(self, name: str) -> None:
        """The controller `name` drops its trajectory and holds the last commanded position (deactivated or activated)."""
        self._controllers[name].hold(self._controllers[name].command[0])

    def references(self) -> dict[str, tuple[int | None, np.ndarray, np.ndarray]]:
        """Controller -> origin [ns] of the trajectory that it plays (None: none), commanded positions [rad] and velocities [rad/s]."""
        return {name: (controller.origin_ns, *controller.command) for name, controller in self._controllers.items()}

    def sample(self, now_ns: int) -> np.ndarray:
        """Set-points (J,) [rad] at `now_ns`, which must not go back."""
        targets = np.empty(self._joints)
        for name, controller in self._controllers.items():
            targets[self._index[name]] = controller.sample(now_ns)
        return targets

    def hold(self, set_points: np.ndarray) -> None:
        """Drops all trajectories and holds `set_points` (J,) [rad]."""
        for name, controller in self._controllers.items():
            controller.hold(set_points[self._index[name]])
