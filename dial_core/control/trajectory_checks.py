"""Checks of one controller's trajectory before it is passed on: form, age, limits, and continuity with what is executed.

Independent of the code that makes trajectories: nothing here is used by System-1. Limits are judged on the cubics that a
joint_trajectory_controller plays between the points, by their exact extremes, not only at the points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import AT_REST, JointTrajectoryController, TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.limit_tracking import Knots
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.errors import DialError
from dial_core.robot.embodiment import Controller

POSITION_TOLERANCE_RAD = 1e-3
RATE_TOLERANCE = 0.02  # share of a velocity or acceleration limit that may be exceeded: rounding of times, and of limits in a YAML
CLOCK_TOLERANCE_S = 0.01  # a stamp may lie so far ahead of the clock
TIME_ERROR_S = 2e-9  # of the distance between two points, whose times are whole nanoseconds
SHORT_S = 1e-3  # pieces shorter than this are judged by the velocities at their ends, over at least this time
SERVO_ERROR_RAD = 0.05  # a joint at rest may be led to a first point so near with APPROACH_SHARE of its acceleration limit
APPROACH_SHARE = 1.5
HISTORY_S = 1.0  # of the executed motion that is kept


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
        transport_s: longest from passing a trajectory on to its arrival at a controller [s], which executes it up to a period later.
        max_divergence_rad: from what is executed to what is measured [rad].
    """

    max_age_s: float = 1.0
    max_lead_s: float = 0.5
    period_s: float = 0.01
    transport_s: float = 0.02
    max_divergence_rad: float = 0.3

    @property
    def forward_s(self) -> float:
        """Longest from passing a trajectory on to its execution [s]."""
        return self.transport_s + self.period_s


def motion_of(request: TrajectoryRequest, controller: Controller, now_ns: int, tolerances: Tolerances) -> JointMotion:
    """The motion of the controller's joints, in its order, that a trajectory asks for.

    Raises:
        BreachError: AGE or FORM.
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
    columns = [request.joint_names.index(name) for name in controller.joints]
    positions, velocities = (np.array(rows, dtype=np.float64)[:, columns] for rows in (request.positions, request.velocities))
    if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
        raise BreachError(TrajectoryCheck.FORM, "positions or velocities are not finite")
    return JointMotion(request.stamp_ns, np.array(request.times_ns) / NANOSECONDS, positions, velocities)


def _require_age(request: TrajectoryRequest, now_ns: int, tolerances: Tolerances) -> None:
    if not request.stamp_ns:
        raise BreachError(TrajectoryCheck.AGE, "it has no stamp, so nothing says how old it is")
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


def require_continuity(
    running: JointMotion, new: JointMotion, now_ns: int, limits: Guard, names: Sequence[str], tolerances: Tolerances
) -> None:
    """Raises BreachError (LATE or CONTINUITY) if a controller's set-points would step when it changes from `running` to `new`.

    A controller changes at some update from now until `forward_s` later, so both moments are judged. What the acceleration limit gives
    in one period is no step. A trajectory whose first point is still ahead is led to from `running`, which `require_limits` judges.
    """
    period_s = tolerances.period_s
    first_ns = new.origin_ns + round(new.times_s[0] * NANOSECONDS)
    for moment_ns in (now_ns, now_ns + round(tolerances.forward_s * NANOSECONDS)):
        if moment_ns < first_ns:
            continue
        if why := _step(running, new, moment_ns, limits, names, period_s):
            began_together = now_ns - first_ns < HISTORY_S * NANOSECONDS and not _step(running, new, first_ns, limits, names, period_s)
            if began_together and first_ns < moment_ns:
                raise BreachError(TrajectoryCheck.LATE, f"it may reach the controller after it left what is executed: {why}")
            raise BreachError(TrajectoryCheck.CONTINUITY, f"it does not continue what is executed: {why}")


def _step(running: JointMotion, new: JointMotion, moment_ns: int, limits: Guard, names: Sequence[str], period_s: float) -> str:
    """The joint that steps most at a moment, with the step; empty: none does."""
    (old_p, old_v), (new_p, new_v) = running.sample(moment_ns), new.sample(moment_ns)
    position, velocity = np.abs(new_p - old_p), np.abs(new_v - old_v)
    excess = np.maximum(position / (limits.acceleration * period_s**2), velocity / (limits.acceleration * period_s))
    worst = int(excess.argmax())
    return "" if excess[worst] <= 1 + RATE_TOLERANCE else f"{names[worst]} steps by {position[worst]:.4f} rad, {velocity[worst]:.3f} rad/s"


def require_limits(running: JointMotion, new: JointMotion, now_ns: int, limits: Guard, names: Sequence[str]) -> None:
    """Raises BreachError (POSITION, VELOCITY or ACCELERATION) if what a controller plays from now on breaks a limit.

    A joint that is found outside its position limits may come back, and not go further out.
    """
    now_s = new.offset_s(now_ns)
    position, velocity = running.sample(now_ns)
    reach = replace(limits, lower=np.minimum(limits.lower, position), upper=np.maximum(limits.upper, position))
    begin = max(int(np.searchsorted(new.times_s, now_s, side="right")) - 1, 0)
    knots = Knots(new.times_s[begin:], new.positions[begin:], new.velocities[begin:])
    if now_s < new.times_s[0]:
        approach = Knots(np.array([now_s, new.times_s[0]]), np.stack([position, new.positions[0]]), np.stack([velocity, new.velocities[0]]))
        rests = (np.abs(velocity) < AT_REST) & (np.abs(new.velocities[0]) < AT_REST)
        servo_error = rests & (np.abs(new.positions[0] - position) <= SERVO_ERROR_RAD)
        _require_inside(approach, replace(reach, acceleration=limits.acceleration * np.where(servo_error, APPROACH_SHARE, 1.0)), names)
    _require_inside(knots, reach, names)


def _require_inside(knots: Knots, limits: Guard, names: Sequence[str]) -> None:
    lowest, highest = _position_extremes(knots)
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


def _position_extremes(knots: Knots) -> tuple[np.ndarray, np.ndarray]:
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
    """Highest acceleration (J,) [rad/s^2]; of pieces shorter than SHORT_S the mean over at least that time."""
    hardest = np.zeros(knots.positions.shape[1])
    if len(knots.times_s) < 2:
        return hardest
    h, _, c1, c2, c3 = _polynomials(knots)
    rounding = 6 * np.maximum(np.abs(c1), np.abs(knots.velocities[1:])) * TIME_ERROR_S / h**2
    peaks = np.maximum(np.maximum(np.abs(2 * c2), np.abs(2 * c2 + 6 * c3 * h)) - rounding, 0.0)
    long = h[:, 0] >= SHORT_S
    if long.any():
        hardest = peaks[long].max(axis=0)
    for k in np.flatnonzero(~long):
        end = min(int(np.searchsorted(knots.times_s, knots.times_s[k] + SHORT_S)), len(knots.times_s) - 1)
        over_s = max(knots.times_s[end] - knots.times_s[k], SHORT_S)
        hardest = np.maximum(hardest, np.abs(knots.velocities[end] - knots.velocities[k]) / over_s)
        moved = np.abs(knots.positions[end] - knots.positions[k]) - np.abs(knots.velocities[k : end + 1]).max(axis=0) * over_s
        hardest = np.maximum(hardest, np.maximum(moved - 1e-9, 0.0) / SHORT_S**2)
    return hardest


def continued(running: JointMotion, new: JointMotion, now_ns: int) -> JointMotion:
    """What a controller executes that changes from `running` to `new` now: the past of the one, the future of the other."""
    shift_s, now_s = (running.origin_ns - new.origin_ns) / NANOSECONDS, new.offset_s(now_ns)
    past_s = running.times_s + shift_s
    past = (past_s > now_s - HISTORY_S) & (past_s < now_s - SHORT_S)
    future = new.times_s > now_s + SHORT_S
    state = running.sample(now_ns) if now_s < new.times_s[0] else new.sample(now_ns)
    return JointMotion(
        new.origin_ns,
        np.concatenate([past_s[past], [now_s], new.times_s[future]]),
        np.concatenate([running.positions[past], state[0][None], new.positions[future]]),
        np.concatenate([running.velocities[past], state[1][None], new.velocities[future]]),
    )
