"""ros2_control's joint_trajectory_controller, emulated: what it accepts, what it rejects, and where the joints should be.

Follows ros2_controllers 4.42 (Jazzy), `joint_trajectory_controller.cpp` (`validate_trajectory_msg`, `update`) and `trajectory.cpp`
(`sample`, `interpolate_between_points`), with a position interface, default parameters and `interpolate_from_desired_state`: an
accepted message hard-replaces what runs. Its oddities are kept, since a robot has them too; they are marked "as the original".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from dial_core.config import Config
from dial_core.control.motion import NANOSECONDS, cubic, to_ns
from dial_core.errors import DialError
from dial_core.robot.embodiment import Controller

AT_REST = float(np.finfo(np.float32).eps)  # largest last velocity [rad/s] that counts as zero


class TrajectoryRejectedError(DialError):
    """The controller ignores a trajectory; the message says which rule it broke.

    `rule`: the same without names and numbers, by which rejections are counted.
    """

    def __init__(self, message: str, rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule or message


@dataclass(frozen=True)
class TrajectoryRequest:
    """A JointTrajectory as plain data: K points of J joints.

    Fields:
        stamp_ns: time origin; 0 means: from the moment the controller is updated with it.
        times_ns: K times after the origin.
        positions, velocities, accelerations, efforts: K rows of J values [rad, rad/s, rad/s^2, -], or empty rows; no rows at all
            stand for empty ones.
    """

    joint_names: tuple[str, ...]
    stamp_ns: int
    times_ns: tuple[int, ...]
    positions: tuple[tuple[float, ...], ...]
    velocities: tuple[tuple[float, ...], ...]
    accelerations: tuple[tuple[float, ...], ...] = ()
    efforts: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def from_message(cls, message: Any) -> Self:
        """A JointTrajectory, rclpy's or one decoded from a bag, as plain data; nothing is validated here."""
        points = message.points
        return cls(
            joint_names=tuple(message.joint_names),
            stamp_ns=to_ns(message.header.stamp),
            times_ns=tuple(to_ns(p.time_from_start) for p in points),
            positions=tuple(tuple(p.positions) for p in points),
            velocities=tuple(tuple(p.velocities) for p in points),
            accelerations=tuple(tuple(p.accelerations) for p in points),
            efforts=tuple(tuple(p.effort) for p in points),
        )


class _Point(NamedTuple):
    """Time [ns], position, velocity and acceleration (J,) of a trajectory; None: not given."""

    time_ns: int
    position: np.ndarray
    velocity: np.ndarray | None
    acceleration: np.ndarray | None


class ControllerRules(Config):
    """Parameters of a joint_trajectory_controller that decide what it accepts, by their names there; defaults as in Jazzy.

    Attributes:
        allow_partial_joints_goal: a trajectory may leave joints out; they stay where they are commanded.
        allow_nonzero_velocity_at_trajectory_end: the last point may move (MoveIt Servo; the default before Iron).
        interpolation_method: `splines`, or `none`: each point is the command from its time on.
    """

    allow_partial_joints_goal: bool = False
    allow_nonzero_velocity_at_trajectory_end: bool = False
    interpolation_method: Literal["splines", "none"] = "splines"


DEFAULT_RULES = ControllerRules()
PERMISSIVE_RULES = ControllerRules(allow_partial_joints_goal=True, allow_nonzero_velocity_at_trajectory_end=True)


class JointTrajectoryController:
    """One controller: holds a position until a trajectory is accepted, plays it, then holds its last point.

    `sample(t)` gives the command that the original computes one period before t, for t. So a trajectory that is accepted after
    `sample(t)` shows first in the command for t + period.
    """

    def __init__(self, controller: Controller, position: np.ndarray, period_ns: int = 0, rules: ControllerRules = DEFAULT_RULES) -> None:
        """`period_ns`: of the updates; 0: not known, and updated whenever it is sampled."""
        self.name, self.rules = controller.name, rules
        self._joints, self._period_ns = controller.joints, period_ns
        self._order_buffer = np.zeros(len(controller.joints))
        self.hold(position)

    def hold(self, position: np.ndarray) -> None:
        """Drops the trajectory and stands at `position` (J,) [rad] (start, reset)."""
        self.origin_ns: int | None = None  # of the trajectory that is played
        self._points: list[_Point] = []
        still = np.zeros(len(self._joints))
        self._commanded = self._before = _Point(0, np.asarray(position, dtype=np.float64), still, still)

    @property
    def command(self) -> tuple[np.ndarray, np.ndarray]:
        """The last commanded position [rad] and velocity [rad/s], (J,) each."""
        velocity = self._commanded.velocity
        return self._commanded.position, np.zeros(len(self._joints)) if velocity is None else velocity

    def accept(self, request: TrajectoryRequest, now_ns: int) -> None:
        """Replaces what runs by `request`.

        Raises:
            TrajectoryRejectedError: a rule is broken; what runs continues.
        """
        self.validate(request, now_ns)
        request = self._filled_up(request)
        self.origin_ns = request.stamp_ns or now_ns
        columns = [self._joints.index(name) for name in request.joint_names]
        rows = zip(
            request.times_ns,
            request.positions,
            request.velocities or ((),) * len(request.times_ns),
            request.accelerations or ((),) * len(request.times_ns),
            strict=True,
        )
        self._points = []
        for time_ns, position, velocity, acceleration in rows:
            p, v, a = (self._in_own_order(values, columns) for values in (position, velocity, acceleration))
            assert p is not None  # validated
            self._points.append(_Point(self.origin_ns + time_ns, p, v, a))
        # As the original: what was commanded for now is taken to be of the update before, one period ago.
        self._before = self._commanded._replace(time_ns=now_ns - self._period_ns)

    def sample(self, now_ns: int) -> np.ndarray:
        """Commanded positions (J,) [rad] for `now_ns`; remembered as the state from which the next trajectory starts."""
        if self._points and now_ns >= self._before.time_ns:  # as the original: no command while its clock is set back
            self._commanded = self._at(now_ns)
        return self._commanded.position

    def _at(self, now_ns: int) -> _Point:
        if now_ns < self._points[0].time_ns:
            return self._before if self.rules.interpolation_method == "none" else _between(self._before, self._points[0], now_ns)
        while len(self._points) > 1 and self._points[1].time_ns <= now_ns:
            del self._points[0]
        if len(self._points) > 1 and self.rules.interpolation_method == "splines":
            return _between(self._points[0], self._points[1], now_ns)
        last, still = self._points[0], np.zeros(len(self._joints))
        velocity, acceleration = (still if values is None else values for values in last[2:])
        return _Point(now_ns, last.position, velocity, acceleration)

    def _filled_up(self, request: TrajectoryRequest) -> TrajectoryRequest:
        """A partial goal with the joints that it leaves out, at rest where they are commanded."""
        missing = [j for j, name in enumerate(self._joints) if name not in request.joint_names]
        if len(request.joint_names) == len(self._joints) or not missing:
            return request
        rest, still = tuple(self._commanded.position[missing].tolist()), (0.0,) * len(missing)

        def filled(rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
            return tuple((*row, *still) if row else row for row in rows)

        return replace(
            request,
            joint_names=(*request.joint_names, *(self._joints[j] for j in missing)),
            positions=tuple((*row, *rest) for row in request.positions),
            velocities=filled(request.velocities),
            accelerations=filled(request.accelerations),
        )

    def _in_own_order(self, values: Sequence[float], columns: list[int]) -> np.ndarray | None:
        """A row in the controller's order. As the original, a joint that is not named keeps what the row before left there."""
        if not values:
            return None
        self._order_buffer[columns] = values
        return self._order_buffer.copy()

    def validate(self, request: TrajectoryRequest, now_ns: int) -> None:
        """Raises TrajectoryRejectedError if the controller would reject a trajectory that arrives now."""
        # A joint named twice and a first point before the origin pass, as the original.
        partial = self.rules.allow_partial_joints_goal and 0 < len(request.joint_names) < len(self._joints)
        if not (partial or len(request.joint_names) == len(self._joints)) or not set(request.joint_names) <= set(self._joints):
            wrong = sorted(set(request.joint_names) ^ set(self._joints)) or ["a joint named twice"]
            self._reject(f"joints do not match the controller's: {', '.join(wrong)}", "joints do not match the controller's")
        if not request.times_ns:
            self._reject("empty trajectory received")
        if request.stamp_ns < 0:
            self._reject("its stamp is negative, which rclcpp::Time does not accept")
        ends = request.velocities[-1] if request.velocities else ()
        if not self.rules.allow_nonzero_velocity_at_trajectory_end and any(abs(v) > AT_REST for v in ends):
            self._reject("velocity of the last trajectory point is not zero")
        end_ns = request.stamp_ns + request.times_ns[-1]
        if request.stamp_ns and end_ns < now_ns:
            late_s = (now_ns - end_ns) / NANOSECONDS
            self._reject(f"its last point lies {late_s:.3f} s in the past", "its last point lies in the past")
        for earlier, later in zip(request.times_ns, request.times_ns[1:], strict=False):
            if later <= earlier:
                self._reject(f"times between points must increase: {later / NANOSECONDS} s after {earlier / NANOSECONDS} s")
        self._validate_widths(request)

    def _validate_widths(self, request: TrajectoryRequest) -> None:
        width = len(request.joint_names)
        fields = {"positions": request.positions, "velocities": request.velocities, "accelerations": request.accelerations}
        for field, rows in fields.items():
            allowed = (width,) if field == "positions" else (0, width)
            for k, row in enumerate(rows):
                if len(row) not in allowed:
                    self._reject(f"point {k} has {len(row)} {field} for {width} joints")
        if any(request.efforts):
            self._reject("efforts are not supported")

    def _reject(self, why: str, rule: str = "") -> None:
        raise TrajectoryRejectedError(f"{self.name} rejects the trajectory: {why}", rule or why)


def _between(start: _Point, end: _Point, now_ns: int) -> _Point:
    """The state at `now_ns` between two points: linear, cubic or quintic by what both of them give (`interpolate_between_points`)."""
    t, duration_s = (now_ns - start.time_ns) / NANOSECONDS, (end.time_ns - start.time_ns) / NANOSECONDS
    has_velocity = start.velocity is not None and end.velocity is not None
    has_acceleration = start.acceleration is not None and end.acceleration is not None
    p0, p1, zeros = start.position, end.position, np.zeros_like(start.position)
    if not has_velocity and not has_acceleration:
        slope = (p1 - p0) / duration_s if duration_s else zeros
        return _Point(now_ns, p0 + t * slope, slope, zeros)
    if not has_velocity:
        return _Point(now_ns, zeros, zeros, zeros)  # as the original, which has no such case: it commands zero
    assert start.velocity is not None
    assert end.velocity is not None
    if not has_acceleration:
        position, velocity = cubic(t, duration_s, (p0, start.velocity), (p1, end.velocity))
        return _Point(now_ns, position, velocity, zeros)
    assert start.acceleration is not None
    assert end.acceleration is not None
    return _quintic(now_ns, t, duration_s, start, end)


def _quintic(now_ns: int, t: float, duration_s: float, start: _Point, end: _Point) -> _Point:
    """The state on the quintic between two points that give velocity and acceleration."""
    p0, v0, a0, p1, v1, a1 = (np.asarray(x) for x in (*start[1:], *end[1:]))
    h = duration_s
    c3 = (20 * (p1 - p0) - (12 * v0 + 8 * v1) * h - (3 * a0 - a1) * h**2) / (2 * h**3)
    c4 = (-30 * (p1 - p0) + (16 * v0 + 14 * v1) * h + (3 * a0 - 2 * a1) * h**2) / (2 * h**4)
    c5 = (12 * (p1 - p0) - 6 * (v0 + v1) * h - (a0 - a1) * h**2) / (2 * h**5)
    coefficients = [p0, v0, a0 / 2, c3, c4, c5]
    position = sum(c * t**k for k, c in enumerate(coefficients))
    velocity = sum(k * c * t ** (k - 1) for k, c in enumerate(coefficients) if k)
    acceleration = sum(k * (k - 1) * c * t ** (k - 2) for k, c in enumerate(coefficients) if k > 1)
    return _Point(now_ns, np.asarray(position), np.asarray(velocity), np.asarray(acceleration))
