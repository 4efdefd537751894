"""ros2_control's joint_trajectory_controller, emulated: what it accepts, what it rejects, and where the joints should be.

After ros2_controllers' `joint_trajectory_controller.cpp` (`validate_trajectory_msg`) and `trajectory.cpp` (`sample`), Jazzy
(4.x) with default parameters and `interpolate_from_desired_state`: a message that is accepted hard-replaces what runs.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dial_core.control.motion import NANOSECONDS, cubic, to_ns
from dial_core.errors import DialError
from dial_core.robot.embodiment import Controller

AT_REST = float(np.finfo(np.float32).eps)  # largest last velocity [rad/s] that counts as zero


class TrajectoryRejectedError(DialError):
    """The controller ignores a trajectory; the message says which rule it broke."""


@dataclass(frozen=True)
class TrajectoryRequest:
    """A JointTrajectory as plain data: K points of J joints.

    Fields:
        stamp_ns: time origin; 0 means: from the moment the controller first looks at it.
        times_ns: K times after the origin.
        positions, velocities, efforts: K rows of J values [rad, rad/s, -], or empty rows.
    """

    joint_names: tuple[str, ...]
    stamp_ns: int
    times_ns: tuple[int, ...]
    positions: tuple[tuple[float, ...], ...]
    velocities: tuple[tuple[float, ...], ...]
    efforts: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def from_message(cls, message: Any) -> Self:
        """A JointTrajectory, rclpy's or one decoded from a bag, as plain data; nothing is judged here."""
        points = message.points
        return cls(
            joint_names=tuple(message.joint_names),
            stamp_ns=to_ns(message.header.stamp),
            times_ns=tuple(to_ns(p.time_from_start) for p in points),
            positions=tuple(tuple(p.positions) for p in points),
            velocities=tuple(tuple(p.velocities) for p in points),
            efforts=tuple(tuple(p.effort) for p in points),
        )


class JointTrajectoryController:
    """One controller: holds a position until a trajectory is accepted, plays it, then holds its last point."""

    def __init__(self, controller: Controller, position: np.ndarray) -> None:
        self.name = controller.name
        self._joints = controller.joints
        self.hold(position)

    def hold(self, position: np.ndarray) -> None:
        """Forgets the trajectory and stands at `position` (J,) [rad] (start, reset)."""
        self._position = np.asarray(position, dtype=np.float64)
        self._velocity = np.zeros_like(self._position)
        self._knots: list[tuple[int, np.ndarray, np.ndarray | None]] = []

    def accept(self, request: TrajectoryRequest, now_ns: int) -> None:
        """Replaces what runs by `request`.

        Raises:
            TrajectoryRejectedError: a rule is broken; what runs goes on.
        """
        self._validate(request, now_ns)
        order = [request.joint_names.index(name) for name in self._joints]
        origin_ns = request.stamp_ns or now_ns
        # Until the first point the original interpolates from the state that was desired when the message came.
        knots: list[tuple[int, np.ndarray, np.ndarray | None]] = [(now_ns, self._position, self._velocity)]
        for time_ns, position, velocity in zip(request.times_ns, request.positions, request.velocities, strict=True):
            if not knots[1:] and origin_ns + time_ns <= now_ns:
                knots = []  # the first point is past: the trajectory itself says where the joints should be by now
            knots.append((origin_ns + time_ns, np.array(position)[order], np.array(velocity)[order] if velocity else None))
        self._knots = knots

    def sample(self, now_ns: int) -> np.ndarray:
        """Desired positions (J,) [rad] at `now_ns`; remembered as the state that the next trajectory starts from."""
        while len(self._knots) > 1 and self._knots[1][0] <= now_ns:
            del self._knots[0]
        if self._knots:
            self._position, self._velocity = self._between(now_ns)
        return self._position

    def _between(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        start_ns, p0, v0 = self._knots[0]
        if len(self._knots) == 1 or now_ns <= start_ns:
            return p0, np.zeros_like(p0)
        end_ns, p1, v1 = self._knots[1]
        elapsed_s, duration_s = (now_ns - start_ns) / NANOSECONDS, (end_ns - start_ns) / NANOSECONDS
        if v0 is None or v1 is None:
            return p0 + (p1 - p0) * elapsed_s / duration_s, (p1 - p0) / duration_s
        return cubic(elapsed_s, duration_s, (p0, v0), (p1, v1))

    def _validate(self, request: TrajectoryRequest, now_ns: int) -> None:
        if sorted(request.joint_names) != sorted(self._joints):
            wrong = sorted(set(request.joint_names) ^ set(self._joints)) or ["a joint named twice"]
            self._reject(f"joints do not match the controller's: {', '.join(wrong)}")
        if not request.times_ns:
            self._reject("empty trajectory received")
        end_ns = request.stamp_ns + request.times_ns[-1]
        if request.stamp_ns and end_ns < now_ns:
            late_s = (now_ns - end_ns) / NANOSECONDS
            self._reject(f"its last point lies {late_s:.3f} s in the past")
        if any(abs(v) > AT_REST for v in request.velocities[-1]):
            self._reject("velocity of the last trajectory point is not zero")
        if request.times_ns[0] < 0:
            self._reject("time_from_start of the first point is negative")
        for earlier, later in zip(request.times_ns, request.times_ns[1:], strict=False):
            if later <= earlier:
                self._reject(f"times between points must increase: {later / NANOSECONDS} s after {earlier / NANOSECONDS} s")
        width = len(self._joints)
        for k, (position, velocity) in enumerate(zip(request.positions, request.velocities, strict=True)):
            if len(position) != width or len(velocity) not in (0, width):
                self._reject(f"point {k} has {len(position)} positions and {len(velocity)} velocities for {width} joints")
        if any(request.efforts):
            self._reject("efforts are not supported")

    def _reject(self, why: str) -> None:
        raise TrajectoryRejectedError(f"{self.name} rejects the trajectory: {why}")
