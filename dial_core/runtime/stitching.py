"""Chunks over time: splices a new chunk of targets into the motion that runs, so that position and velocity go on smoothly.

Strategy `replace`: up to the splice the running motion is repeated (a controller that hard-replaces its trajectory
loses nothing by it), after the splice the new chunk rules. Each motion ends at rest: the dead-man stop.
"""

import numpy as np

from dial_core.errors import DialError
from dial_core.runtime.guard import Guard
from dial_core.runtime.motion import NANOSECONDS, JointMotion

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
    position, velocity = running.sample(now_ns + round(lead_s * NANOSECONDS))
    leave = (np.array([lead_s]), position[None], velocity[None])
    return _joined(now_ns, _kept(running, now_ns, lead_s), _come_to_rest(leave, guard))


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


def _come_to_rest(knots: Knots, guard: Guard) -> Knots:
    """`knots` with one more at which all joints stand: constant deceleration inside the limits of `guard`."""
    times_s, positions, velocities = knots
    stop_s = max(guard.stopping_time(velocities[-1]), SHORTEST_STOP_S)
    rest = np.clip(positions[-1] + velocities[-1] * stop_s / 2, guard.lower, guard.upper)
    return (
        np.concatenate([times_s, [times_s[-1] + stop_s]]),
        np.concatenate([positions, rest[None]]),
        np.concatenate([velocities, np.zeros_like(rest)[None]]),
    )


def _joined(stamp_ns: int, kept: Knots, new: Knots) -> JointMotion:
    times_s, positions, velocities = (np.concatenate(parts) for parts in zip(kept, new, strict=True))
    return JointMotion(stamp_ns, times_s, positions, velocities)
