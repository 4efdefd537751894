"""Chunks over time: splices a new chunk of targets into the motion that runs, so that position and velocity stay continuous.

Up to the splice the running motion is repeated (a controller that hard-replaces its trajectory loses nothing by it),
after the splice the new chunk rules. Each motion ends at rest: the dead-man stop. Where several chunks speak of the same
moment, `overlap` has decided before what the targets are. Every motion keeps the guard's limits at every moment, if the
one before did.
"""

import numpy as np

from dial_core.control.joint_limits import Clamps, Guard
from dial_core.control.limit_tracking import Knots, braking, finer, track_within_limits, within_limits
from dial_core.control.motion import APART_S, NANOSECONDS, JointMotion
from dial_core.errors import DialError

FIRST_KNOT_S = 0.001  # time_from_start of the first point must be > 0; early, so that the present lies between knots


class ChunkTooLateError(DialError):
    """All of a chunk's targets are past before it could be sent."""


def splice(
    running: JointMotion,
    targets: np.ndarray,
    stamp_ns: int,
    splice_ns: int,
    step_s: float,
    guard: Guard,
    measured: np.ndarray | None = None,
) -> tuple[JointMotion, Clamps]:
    """The motion that repeats `running` up to the splice and then follows the chunk, and which limits moved its targets.

    Args:
        running: the motion commanded so far.
        targets: (H, J) [rad]; `targets[k]` is to be reached at the stamp + (k + 1) * `step_s`.
        stamp_ns: time of the observation that the chunk was made from: the origin of the new motion.
        splice_ns: when the new chunk takes over: now, and a little for the transport.
        step_s: time between targets [s].
        guard: limits that the new part is brought into.
        measured: joints at the stamp (J,) [rad], for the guard's greatest jump; None checks none.

    Raises:
        ChunkTooLateError: no target lies after the splice.
    """
    splice_s = _leaving(running, stamp_ns, (splice_ns - stamp_ns) / NANOSECONDS)
    times_s = step_s * np.arange(1, len(targets) + 1)
    # A target closer than half a step would ask for jumps in velocity: the next one takes its place.
    ahead = times_s > splice_s + step_s / 2
    if not ahead.any():
        raise ChunkTooLateError(
            f"chunk of the observation at {stamp_ns / NANOSECONDS:.3f} s: its last target lies {times_s[-1]:.2f} s after "
            f"the observation, but {splice_s:.2f} s have passed; inference is too slow for the horizon"
        )
    start = running.sample(stamp_ns + round(splice_s * NANOSECONDS))
    near, clamps = guard.clamp(targets[ahead].astype(np.float64), times_s[ahead], measured)
    guard = guard.widened_to(near)
    wanted = _through(splice_s, start, times_s[ahead], near)
    kept_in = within_limits(wanted, guard)
    new = wanted
    if not kept_in.all():
        reference = finer(wanted)
        tracked = track_within_limits(reference, guard)
        new = Knots(
            reference.times_s, *(np.where(kept_in, fine, limited) for fine, limited in zip(reference[1:], tracked[1:], strict=True))
        )
        clamps += guard.count_rates(wanted.times_s, wanted.positions, new.positions[np.searchsorted(new.times_s, wanted.times_s - 1e-9)])
    rest = braking(new.times_s[-1], (new.positions[-1], new.velocities[-1]), guard)
    return _joined(stamp_ns, _kept(running, stamp_ns, splice_s), new, Knots(*(part[1:] for part in rest))), clamps


def hold(running: JointMotion, stamp_ns: int, splice_ns: int, guard: Guard) -> JointMotion:
    """The motion of origin `stamp_ns` that leaves `running` (J joints) at `splice_ns` and decelerates to rest within the limits."""
    splice_s = _leaving(running, stamp_ns, (splice_ns - stamp_ns) / NANOSECONDS)
    start = running.sample(stamp_ns + round(splice_s * NANOSECONDS))
    return _joined(stamp_ns, _kept(running, stamp_ns, splice_s), braking(splice_s, start, guard))


def reaching_back(motion: JointMotion, running: JointMotion, origin_ns: int) -> JointMotion:
    """`motion`, which was spliced into `running`, from an earlier origin on: it repeats `running` up to its own first knot.

    `motion` itself if the origin is less than 2 ms before its first knot.
    """
    if origin_ns + round(2 * FIRST_KNOT_S * NANOSECONDS) >= motion.begin_ns:
        return motion
    times_s = motion.times_s + (motion.origin_ns - origin_ns) / NANOSECONDS
    before = _kept(running, origin_ns, times_s[0] - APART_S)
    return _joined(origin_ns, before, Knots(times_s, motion.positions, motion.velocities))


def _leaving(running: JointMotion, stamp_ns: int, time_s: float) -> float:
    """When to leave `running`, about `time_s` [s] after the stamp: at a knot of its own that lies close before, if there is one.

    The splice would add a knot so close to it, and knots keep apart; it must not be left out, since the cubics on its sides differ.
    """
    time_s = max(time_s, 3 * FIRST_KNOT_S)
    old_s = running.times_s + (running.origin_ns - stamp_ns) / NANOSECONDS
    close = old_s[(old_s > time_s - FIRST_KNOT_S) & (old_s <= time_s)]
    return float(close[0]) if len(close) else time_s


def _kept(running: JointMotion, stamp_ns: int, splice_s: float) -> Knots:
    """Knots of `running` from just after the stamp to before the splice, on the stamp's time axis.

    The first is sampled: a cubic cut in two is the same cubic, so the controller moves as if nothing had been replaced. All others are
    kept, however close: a motion merged from those of several controllers has knots of each, and one cubic in place of two that
    differ ends up to 0.4 mrad beyond a position limit.
    """
    shift_s = (running.origin_ns - stamp_ns) / NANOSECONDS
    old_s = running.times_s + shift_s
    close = old_s[(old_s >= FIRST_KNOT_S) & (old_s <= 2 * FIRST_KNOT_S)]
    first_s = close[-1] if len(close) else FIRST_KNOT_S
    keep = (old_s > first_s) & (old_s < splice_s)
    first = running.sample_offset(first_s - shift_s)
    return Knots(
        np.concatenate([[first_s], old_s[keep]]),
        np.concatenate([first[0][None], running.positions[keep]]),
        np.concatenate([first[1][None], running.velocities[keep]]),
    )


def _through(splice_s: float, start: tuple[np.ndarray, np.ndarray], times_s: np.ndarray, positions: np.ndarray) -> Knots:
    """Knots from the splice on. Velocity at the splice: the running motion's; inside: central difference; last: backward."""
    times = np.concatenate([[splice_s], times_s])
    positions = np.concatenate([start[0][None], positions])
    slopes = np.diff(positions, axis=0) / np.diff(times)[:, None]
    # Central difference of a non-uniform grid, exact for a parabola through the three knots.
    left, right = np.diff(times)[:-1, None], np.diff(times)[1:, None]
    inner = (right * slopes[:-1] + left * slopes[1:]) / (left + right)
    return Knots(times, positions, np.concatenate([start[1][None], inner, slopes[-1:]]))


def _joined(stamp_ns: int, *parts: Knots) -> JointMotion:
    times_s, positions, velocities = (np.concatenate(part) for part in zip(*parts, strict=True))
    return JointMotion(stamp_ns, times_s, positions, velocities)
