"""Chunks over time: splices a new chunk of targets into the motion that runs, so that position and velocity go on smoothly.

Strategy `replace`: up to the splice the running motion is repeated (a controller that hard-replaces its trajectory
loses nothing by it), after the splice the new chunk rules. Each motion ends at rest: the dead-man stop.
Knots keep the limits of position and velocity; between two knots positions do too, while the cubic may be up to 1.5 times
as fast as the limit in its middle.
"""

import numpy as np

from dial_core.errors import DialError
from dial_core.runtime.guard import Guard
from dial_core.runtime.motion import NANOSECONDS, JointMotion, cubic

FIRST_KNOT_S = 0.001  # time_from_start of the first point must be > 0; early, so that the present lies between knots
SHORTEST_STOP_S = 0.05


class ChunkTooLateError(DialError):
    """All of a chunk's targets are past before it could be sent."""


def splice(
    running: JointMotion,
    targets: np.ndarray,
    stamp_ns: int,
    splice_ns: int,
    step_s: float,
    guard: Guard,
) -> tuple[JointMotion, int]:
    """The motion that repeats `running` up to the splice and then follows the chunk, and the number of clamped values.

    Args:
        running: the motion commanded so far.
        targets: (H, J) [rad]; `targets[k]` is to be reached at the stamp + (k + 1) * `step_s`.
        stamp_ns: time of the observation that the chunk was made from: the origin of the new motion.
        splice_ns: when the new chunk takes over: now, and a little for the transport.
        step_s: time between targets [s].
        guard: limits that the new part is brought into.

    Raises:
        ChunkTooLateError: no target lies after the splice.
    """
    splice_s = max((splice_ns - stamp_ns) / NANOSECONDS, 2 * FIRST_KNOT_S)
    times_s = step_s * np.arange(1, len(targets) + 1)
    # A target closer than half a step would ask for jumps in velocity: the next one takes its place.
    ahead = times_s > splice_s + step_s / 2
    if not ahead.any():
        raise ChunkTooLateError(
            f"chunk of the observation at {stamp_ns / NANOSECONDS:.3f} s: its last target lies {times_s[-1]:.2f} s after "
            f"the observation, but {splice_s:.2f} s have passed; inference is too slow for the horizon"
        )
    start = running.sample(stamp_ns + round(splice_s * NANOSECONDS))
    inside, clamped = guard.clamp_positions(targets[ahead].astype(np.float64))
    positions, limited = guard.limit_rates(start, splice_s, times_s[ahead], inside)
    new = _with_velocities(splice_s, start, times_s[ahead], positions)
    return _joined(stamp_ns, _kept(running, stamp_ns, splice_s), _come_to_rest(new, guard)), clamped + limited


def hold(running: JointMotion, now_ns: int, lead_s: float, guard: Guard) -> JointMotion:
    """The motion that leaves `running` (J joints) at `now_ns` + `lead_s` and decelerates to rest within the limits."""
    lead_s = max(lead_s, 2 * FIRST_KNOT_S)
    start = running.sample(now_ns + round(lead_s * NANOSECONDS))
    return _joined(now_ns, _kept(running, now_ns, lead_s), _braking(lead_s, start, guard))


Knots = tuple[np.ndarray, np.ndarray, np.ndarray]  # times (K,) [s], positions (K, J) [rad], velocities (K, J) [rad/s]


def _kept(running: JointMotion, stamp_ns: int, splice_s: float) -> Knots:
    """Knots of `running` from just after the stamp to before the splice, on the stamp's time axis.

    The first is sampled: a cubic cut in two is the same cubic, so the controller moves as if nothing had been replaced.
    """
    shift_s = (running.origin_ns - stamp_ns) / NANOSECONDS
    old_s = running.times_s + shift_s
    keep = (old_s > 2 * FIRST_KNOT_S) & (old_s < splice_s - FIRST_KNOT_S)
    first = running.sample_offset(FIRST_KNOT_S - shift_s)
    return (
        np.concatenate([[FIRST_KNOT_S], old_s[keep]]),
        np.concatenate([first[0][None], running.positions[keep]]),
        np.concatenate([first[1][None], running.velocities[keep]]),
    )


def _with_velocities(splice_s: float, start: tuple[np.ndarray, np.ndarray], times_s: np.ndarray, positions: np.ndarray) -> Knots:
    """Knots from the splice on. Velocity at the splice: the running motion's; inside: central difference; last: backward."""
    times = np.concatenate([[splice_s], times_s])
    positions = np.concatenate([start[0][None], positions])
    slopes = np.diff(positions, axis=0) / np.diff(times)[:, None]
    # Central difference of a non-uniform grid, exact for a parabola through the three knots.
    left, right = np.diff(times)[:-1, None], np.diff(times)[1:, None]
    inner = (right * slopes[:-1] + left * slopes[1:]) / (left + right)
    return times, positions, np.concatenate([start[1][None], inner, slopes[-1:]])


def _braking(leave_s: float, start: tuple[np.ndarray, np.ndarray], guard: Guard) -> Knots:
    """Knots from `start` (J joints) at `leave_s` [s] to rest: constant deceleration, harder only where a limit is too near.

    A joint that has not the room stops just before its limit, whatever deceleration that takes; so its time of braking
    is its own, and there is one knot at each such time.
    """
    position, velocity = start
    stop_s = max(guard.stopping_time(velocity), SHORTEST_STOP_S)
    room = np.where(velocity > 0, guard.upper - position, position - guard.lower)
    own_s = 2 * room / np.maximum(np.abs(velocity), 1e-9)
    tight = (room > 0) & (own_s < stop_s - FIRST_KNOT_S)
    # On a grid, so that knots keep apart.
    braking_s = np.where(tight, np.maximum(np.floor(own_s / FIRST_KNOT_S), 1) * FIRST_KNOT_S, stop_s)
    rest = (np.clip(position + velocity * braking_s / 2, guard.lower, guard.upper), np.zeros_like(position))
    times_s = np.unique([0.0, *braking_s, stop_s])
    positions, velocities = (np.array(part) for part in zip(*(cubic(time_s, braking_s, start, rest) for time_s in times_s), strict=True))
    stands = times_s[:, None] >= braking_s
    return leave_s + times_s, np.where(stands, rest[0], positions), np.where(stands, rest[1], velocities)


def _come_to_rest(knots: Knots, guard: Guard) -> Knots:
    """`knots` with one more at which all joints stand: constant deceleration inside the limits of `guard`."""
    times_s, positions, velocities = knots
    stop_s = max(guard.stopping_time(velocities[-1]), SHORTEST_STOP_S)
    times_s = np.concatenate([times_s, [times_s[-1] + stop_s]])
    velocities = _slow_at_limits(times_s, positions, velocities, guard)
    rest = np.clip(positions[-1] + velocities[-1] * stop_s / 2, guard.lower, guard.upper)
    return times_s, np.concatenate([positions, rest[None]]), np.concatenate([velocities, np.zeros_like(rest)[None]])


def _slow_at_limits(times_s: np.ndarray, positions: np.ndarray, velocities: np.ndarray, guard: Guard) -> np.ndarray:
    """Velocities (K, J) [rad/s] with which no cubic leaves the limits; `times_s` (K + 1,) has the knot of rest too.

    A cubic stays between its Bezier points p0, p0 + v0 h / 3, p1 - v1 h / 3, p1, so these are kept inside; at a limit
    that means velocity 0. The first velocity is the running motion's and stays, or the motion would jump: only in the
    piece after the splice may a joint that is on its way to a limit pass it, by less than 4/27 v0 h
    (some 1e-5 rad for random chunks, because the running motion slows down there as well).
    """
    before, after = np.diff(times_s)[:-1, None], np.diff(times_s)[1:, None]
    above, below = guard.upper - positions[1:], positions[1:] - guard.lower
    fastest = 3 * np.minimum(above / after, below / before)
    slowest = -3 * np.minimum(above / before, below / after)
    return np.concatenate([velocities[:1], np.clip(velocities[1:], slowest, fastest)])


def _joined(stamp_ns: int, kept: Knots, new: Knots) -> JointMotion:
    times_s, positions, velocities = (np.concatenate(parts) for parts in zip(kept, new, strict=True))
    return JointMotion(stamp_ns, times_s, positions, velocities)
