"""Checks of one controller's trajectory by itself before it is passed on: form, age and limits.

Independent of the code that makes trajectories: nothing here is used by System-1. Limits are judged on the cubics that a
joint_trajectory_controller plays between the points, by their exact extremes, not only at the points. Whether a trajectory
continues what is executed is for `possible_motions` to judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.limit_tracking import Knots
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.errors import DialError
from dial_core.robot.embodiment import Controller

POSITION_TOLERANCE_RAD = 1e-3
RATE_TOLERANCE = 0.02  # share of a velocity or acceleration limit that may be exceeded: rounding of times, and of limits in a YAML
CLOCK_TOLERANCE_S = 0.01  # a stamp may lie so far ahead of the clock
TIME_ERROR_S = 2e-9  # of the distance between two points, whose times are whole nanoseconds
ROUNDING_RAD = 1e-12  # of a position
JUDGING_S = 0.002  # from the time that a trajectory is judged for to publishing: what takes longer is judged again
SHORT_S = 1e-3  # the peaks of pieces shorter than this are judged less what rounding may add
MOST_POINTS_IN_SHORT = 20  # points within SHORT_S: the rounding of each must not add up


class TrajectoryCheck(StrEnum):
    """What a trajectory is checked for."""

    CLOCK = "clock"  # the robot's time is known
    SOURCE = "source"  # one publisher on each topic
    LIMITS = "limits"  # the robot's limits are known
    AGE = "age"  # stamp neither old nor ahead of the clock, first point not far ahead
    FORM = "form"  # what a joint_trajectory_controller accepts, with positions and velocities, finite, ending at rest
    MEASURED = "measured"  # measured joints agree with what is executed
    LATE = "late"  # continuous with what was executed at its beginning, but arrived after it left that
    CONTINUITY = "continuity"  # no step from what is executed
    POSITION = "position"
    VELOCITY = "velocity"
    ACCELERATION = "acceleration"


class BreachError(DialError):
    """A trajectory fails `check`; the message says how."""

    def __init__(self, check: TrajectoryCheck, message: str) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True)
class Tolerances:
    """What is tolerated.

    Fields:
        max_age_s: of a trajectory's stamp [s].
        max_lead_s: from now to its first point [s].
        period_s: of the controllers' updates [s].
        transport_s: longest from publishing a trajectory to its arrival at a controller [s], which executes it up to a period later.
        max_divergence_rad: from what is executed to what is measured [rad].
    """

    max_age_s: float = 1.0
    max_lead_s: float = 0.6
    period_s: float = 0.01
    transport_s: float = 0.02
    max_divergence_rad: float = 0.3

    @property
    def forward_s(self) -> float:
        """Longest from the time for which a trajectory is judged to the last set-point of the one before [s]."""
        return JUDGING_S + self.transport_s + self.period_s

    @property
    def window_s(self) -> float:
        """Over which a trajectory must agree with what it replaces [s]: `forward_s`, and the set-points of a change at once."""
        return max(self.forward_s, 2 * self.period_s)


def motion_of(request: TrajectoryRequest, controller: Controller, now_ns: int, tolerances: Tolerances) -> JointMotion:
    """The motion of the controller's joints, in its order, that a trajectory asks for.

    Raises:
        BreachError: AGE, LATE or FORM.
    """
    _require_age(request, now_ns, tolerances)
    try:
        JointTrajectoryController(controller, np.zeros(len(controller.joints))).validate(request, now_ns)
    except TrajectoryRejectedError as error:
        raise BreachError(TrajectoryCheck.FORM, str(error)) from error
    if len(set(request.joint_names)) < len(controller.joints):
        raise BreachError(TrajectoryCheck.FORM, f"a joint is named twice: {', '.join(request.joint_names)}")
    if len(request.velocities) != len(request.times_ns) or not all(request.velocities):
        raise BreachError(TrajectoryCheck.FORM, "points without velocities: the controller would interpolate with steps of velocity")
    if any(request.accelerations):
        raise BreachError(TrajectoryCheck.FORM, "points with accelerations are not checked; send positions and velocities")
    times_ns = np.array(request.times_ns)
    if (times_ns[MOST_POINTS_IN_SHORT:] - times_ns[:-MOST_POINTS_IN_SHORT] < SHORT_S * NANOSECONDS).any():
        raise BreachError(TrajectoryCheck.FORM, f"more than {MOST_POINTS_IN_SHORT} points within {SHORT_S} s: they cannot be judged")
    columns = [request.joint_names.index(name) for name in controller.joints]
    positions, velocities = (np.array(rows, dtype=np.float64)[:, columns] for rows in (request.positions, request.velocities))
    if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
        raise BreachError(TrajectoryCheck.FORM, "positions or velocities are not finite")
    return JointMotion(request.stamp_ns, times_ns / NANOSECONDS, positions, velocities)


def _require_age(request: TrajectoryRequest, now_ns: int, tolerances: Tolerances) -> None:
    if not request.stamp_ns:
        raise BreachError(TrajectoryCheck.AGE, "it has no stamp, so nothing says how old it is")
    if request.stamp_ns < 0:
        raise BreachError(TrajectoryCheck.FORM, "its stamp is negative")
    age_s = (now_ns - request.stamp_ns) / NANOSECONDS
    if age_s > tolerances.max_age_s:
        raise BreachError(TrajectoryCheck.AGE, f"stamped {age_s:.2f} s ago (limit {tolerances.max_age_s:.2f} s)")
    if age_s < -CLOCK_TOLERANCE_S:
        raise BreachError(TrajectoryCheck.AGE, f"stamped {-age_s:.3f} s ahead of the robot's clock; synchronise the clocks")
    if request.times_ns:
        if request.times_ns[0] < 0:
            raise BreachError(TrajectoryCheck.FORM, "its first point lies before its stamp")
        lead_s = request.times_ns[0] / NANOSECONDS - age_s
        if lead_s > tolerances.max_lead_s:
            raise BreachError(TrajectoryCheck.AGE, f"its first point lies {lead_s:.2f} s ahead (limit {tolerances.max_lead_s:.2f} s)")
        ended_s = age_s - request.times_ns[-1] / NANOSECONDS
        if ended_s > 0:
            raise BreachError(TrajectoryCheck.LATE, f"its last point lies {ended_s:.3f} s in the past")


def require_limits(place: np.ndarray, new: JointMotion, now_ns: int, limits: Guard, names: Sequence[str]) -> None:
    """Raises BreachError (POSITION, VELOCITY or ACCELERATION) if what a controller plays of `new` from now on breaks a limit.

    A joint whose `place` (J,) [rad] is outside its position limits may come back, and not go further out.
    """
    reach = replace(limits, lower=np.minimum(limits.lower, place), upper=np.maximum(limits.upper, place))
    begin = max(int(np.searchsorted(new.times_s, new.offset_s(now_ns), side="right")) - 1, 0)
    _require_inside(Knots(new.times_s[begin:], new.positions[begin:], new.velocities[begin:]), reach, names)


def _require_inside(knots: Knots, limits: Guard, names: Sequence[str]) -> None:
    lowest, highest = position_extremes(knots)
    beyond = np.maximum(limits.lower - lowest, highest - limits.upper)
    j = int(beyond.argmax())
    if beyond[j] > POSITION_TOLERANCE_RAD:
        value = lowest[j] if limits.lower[j] - lowest[j] == beyond[j] else highest[j]
        allowed = f"{limits.lower[j]:.3f} to {limits.upper[j]:.3f}"
        raise BreachError(TrajectoryCheck.POSITION, f"{names[j]} would reach {value:.3f} rad (limits {allowed})")
    for check, peak, limit, unit in (
        (TrajectoryCheck.VELOCITY, _fastest(knots), limits.velocity, "rad/s"),
        (TrajectoryCheck.ACCELERATION, _hardest(knots), limits.acceleration, "rad/s^2"),
    ):
        j = int((peak / limit).argmax())
        if peak[j] > limit[j] * (1 + RATE_TOLERANCE):
            raise BreachError(check, f"{names[j]} would reach {peak[j]:.3f} {unit} (limit {limit[j]:.3f})")


def _polynomials(knots: Knots) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Duration (K-1, 1) and coefficients (K-1, J) of p0 + c1 t + c2 t^2 + c3 t^3 for every piece between knots."""
    h = np.diff(knots.times_s)[:, None]
    p0, v0, v1 = knots.positions[:-1], knots.velocities[:-1], knots.velocities[1:]
    slope = (knots.positions[1:] - p0) / h
    return h, p0, v0, (3 * slope - 2 * v0 - v1) / h, (v0 + v1 - 2 * slope) / h**2


def position_extremes(knots: Knots) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest position (J,) [rad], between the knots too."""
    lowest, highest = knots.positions.min(axis=0), knots.positions.max(axis=0)
    if len(knots.times_s) < 2:
        return lowest, highest
    h, p0, c1, c2, c3 = _polynomials(knots)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Roots of the velocity c1 + 2 c2 t + 3 c3 t^2, in the form that does not cancel.
        q = -(c2 + np.copysign(np.sqrt(c2**2 - 3 * c3 * c1), c2))
        for root in (q / (3 * c3), c1 / q):
            t = np.clip(np.nan_to_num(root, nan=0.0, posinf=0.0, neginf=0.0), 0.0, h)
            position = p0 + t * (c1 + t * (c2 + t * c3))
            lowest, highest = np.minimum(lowest, position.min(axis=0)), np.maximum(highest, position.max(axis=0))
    return lowest, highest


def _fastest(knots: Knots) -> np.ndarray:
    """Highest speed (J,) [rad/s], between the knots too."""
    fastest = np.abs(knots.velocities).max(axis=0)
    if len(knots.times_s) < 2:
        return fastest
    h, _, c1, c2, c3 = _polynomials(knots)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.clip(np.nan_to_num(-c2 / (3 * c3), nan=0.0, posinf=0.0, neginf=0.0), 0.0, h)
    return np.maximum(fastest, np.abs(c1 + t * (2 * c2 + t * 3 * c3)).max(axis=0))


def _hardest(knots: Knots) -> np.ndarray:
    """Highest acceleration (J,) [rad/s^2], between the knots too.

    The peak of a short piece is judged less what the rounding of its duration and positions may add, and all pieces within SHORT_S
    together.
    """
    hardest = np.zeros(knots.positions.shape[1])
    if len(knots.times_s) < 2:
        return hardest
    h, _, c1, c2, c3 = _polynomials(knots)
    rounding = 6 * np.maximum(np.abs(c1), np.abs(knots.velocities[1:])) * TIME_ERROR_S / h**2
    peaks = np.maximum(np.maximum(np.abs(2 * c2), np.abs(2 * c2 + 6 * c3 * h)) - rounding, 0.0)
    long = h[:, 0] >= SHORT_S
    if long.all():
        return peaks.max(axis=0)
    hardest = np.where(long[:, None], peaks, np.add(*_needed_by_ends(knots, 6.0))).max(axis=0)
    apart = [0]
    for k, time_s in enumerate(knots.times_s):
        if time_s - knots.times_s[apart[-1]] >= SHORT_S:
            apart.append(k)
    coarse = Knots(*(part[apart] for part in knots))
    return np.maximum(hardest, np.maximum(*_needed_by_ends(coarse, 4.0)).max(axis=0, initial=0.0))


def _needed_by_ends(knots: Knots, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Accelerations (K-1, J) [rad/s^2] that the velocities, and the positions, at the ends of every piece need at least.

    Under an acceleration a the distance differs from that at the mean velocity by no more than a h^2 / `share`: 6 for a cubic, whose
    peak is the sum of both, and 4 for any motion in between.
    """
    h, before, after = np.diff(knots.times_s)[:, None], knots.velocities[:-1], knots.velocities[1:]
    off = np.abs(np.diff(knots.positions, axis=0) - h * (before + after) / 2)
    rounding = TIME_ERROR_S * np.maximum(np.abs(before), np.abs(after)) + ROUNDING_RAD
    return np.abs(after - before) / (h + TIME_ERROR_S), share * np.maximum(off - rounding, 0.0) / h**2
