"""Which of the sent motions a controller plays: the one whose origin it names, or else the one that is exactly where it is.

joint_trajectory_controller names the origin (`reference.time_from_start` of its state) from ros2_controllers 4.34.0 (Jazzy) and 5.9.0
(Kilted) on. Its reference is computed, not measured: it lies on the cubics that were sent, to the last digits, so that one report of a
few joints in motion tells two motions apart that differ by a hundredth of a milliradian.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dial_core.control.motion import NANOSECONDS, JointMotion

SAME_ORIGIN_S = 0.02  # controllers count periods, so the origin that they report drifts
AGREES_RAD, AGREES_S = 0.005, 0.02  # a reference may differ by this, and be so early or late
EXACT_RAD = 1e-5  # without an origin, a reference that differs by more is of another motion
STEADY_S = 0.003  # from one report to the next a stamp stays so close to the time that the reference is of
START_S = (0.0, -0.005, 0.005, -0.01, 0.01, -0.015, 0.015, -0.02, 0.02)  # where the search for that time begins, from the stamp
ALIKE_RAD = 2e-4  # motions that differ by less from now on need not be told apart: a step of so much keeps the limits
CORRECTIONS = 4  # by Newton's method
PIECES = 8  # in which it is first checked whether the motion comes near at all


@dataclass(frozen=True, eq=False)  # arrays have no equality: one is the same as itself
class SentMotion:
    """A motion of all joints, when it was sent and when it takes over [ns]."""

    motion: JointMotion
    sent_ns: int
    takes_over_ns: int


@dataclass(frozen=True)
class Played:
    """What a report shows.

    Fields:
        sent: the motion that is played; None: none that was sent.
        decided: False while another motion that may be played instead is in the same place.
        early_s: the reference is of so long after its stamp [s]; None: not known.
        proves: it could not be there without playing it: it names the origin, or moves as the motion does.
    """

    sent: SentMotion | None
    decided: bool = True
    early_s: float | None = None
    proves: bool = False


@dataclass(frozen=True)
class Earlier:
    """What was known before a report.

    Fields:
        early_s: as of Played.
        stood_s: for how long the reference has been where it is, since the report before [s]; None: it moved, or there is none before.
        before: what the controller is known to play although a newer motion should have taken over; None: nothing of that kind.
    """

    early_s: float | None = None
    stood_s: float | None = None
    before: SentMotion | None = None


def by_origin(sent: Iterable[SentMotion], columns: np.ndarray, time_ns: int, origin_ns: int, position: np.ndarray) -> Played:
    """The sent motion that has this origin and is there at this time: of several the nearest in origin, then the newest."""
    early_ns = round(AGREES_S * NANOSECONDS)
    for each in sorted(sent, key=lambda each: (abs(each.motion.origin_ns - origin_ns), -each.sent_ns)):
        if abs(each.motion.origin_ns - origin_ns) > SAME_ORIGIN_S * NANOSECONDS:
            break
        around = np.array([each.motion.sample(time_ns + k * early_ns)[0][columns] for k in (-1, 0, 1)])
        near = ((position >= around.min(0) - AGREES_RAD) & (position <= around.max(0) + AGREES_RAD)).all()
        if time_ns < each.motion.begin_ns or near:
            return Played(each, proves=True)
    return Played(None)


def by_position(
    sent: Sequence[SentMotion],
    columns: np.ndarray,
    time_ns: int,
    position: np.ndarray,
    earlier: Earlier,
) -> Played:
    """The sent motion that is exactly at `position` (J',) [rad], where no origin is named. `sent`: those that may be played, in order.

    A controller may always stand instead (it was restarted, or has missed everything): a motion that has not left its first position
    yet does not show that it is played, and one that moves is not played by a controller that has not, unless it came back to its place.
    """
    places = [(each, place) for each in sent if (place := _place(each.motion, columns, time_ns, position, earlier.early_s)) is not None]
    if (stood_s := earlier.stood_s) is not None:
        places = [(each, place) for each, place in places if not _left(each.motion, columns, time_ns + round(place * NANOSECONDS), stood_s)]
    if not places:
        return Played(None) if earlier.early_s is None else by_position(sent, columns, time_ns, position, replace(earlier, early_s=None))
    newest, place = places[-1]
    moves = _moves(newest.motion, columns, time_ns, place)
    stands = JointMotion.standing(time_ns, newest.motion.sample(time_ns + round(place * NANOSECONDS))[0])
    rivals = [each for each, _ in places[:-1] if not _alike(each.motion, newest.motion, columns, time_ns)]
    alone = not rivals and not (moves and stood_s is not None)
    if alone and (moves or _alike(stands, newest.motion, columns, time_ns)):
        return Played(newest, early_s=place if moves else earlier.early_s, proves=moves)
    return Played(earlier.before if earlier.before in rivals else newest, decided=False, early_s=earlier.early_s)


def _left(motion: JointMotion, columns: np.ndarray, there_ns: int, stood_s: float) -> bool:
    """Whether a motion that is in a place at `there_ns` was noticeably elsewhere `stood_s` [s] before."""
    now, before = (motion.sample(there_ns - round(ago_s * NANOSECONDS)) for ago_s in (0.0, stood_s))
    return bool((np.abs(now[0] - before[0])[columns] > EXACT_RAD).any())


def _moves(motion: JointMotion, columns: np.ndarray, time_ns: int, place: float) -> bool:
    """Whether a motion moves noticeably within the time that a report may be off, `place` [s] after `time_ns`."""
    speed = motion.sample(time_ns + round(place * NANOSECONDS))[1][columns]
    return bool((np.abs(speed) * AGREES_S > EXACT_RAD).any())


def _place(motion: JointMotion, columns: np.ndarray, time_ns: int, position: np.ndarray, early_s: float | None) -> float | None:
    """How long after `time_ns` the motion is exactly at `position` [s]; None: neither then nor shortly before or after.

    From all starts at once: of those that lead to a place the first one's.
    """
    starts_s, reach_s, centre_s = (START_S, AGREES_S, 0.0) if early_s is None else ((early_s,), STEADY_S, early_s)
    now_s = motion.offset_s(time_ns)
    if (np.abs(position - motion.sample_offset(now_s + starts_s[0])[0][columns]) <= EXACT_RAD).all():  # as it is mostly
        return starts_s[0]
    if not _passes(motion, columns, now_s + centre_s, reach_s, position):
        return None
    places, found, searching = np.array(starts_s), np.zeros(len(starts_s), dtype=bool), np.ones(len(starts_s), dtype=bool)
    for _ in range(CORRECTIONS):
        there, speeds = (values[:, columns] for values in motion.sample_offsets(now_s + places))
        errors = position - there
        found |= searching & (np.abs(errors) <= EXACT_RAD).all(axis=1)
        squares = (speeds * speeds).sum(axis=1)
        searching &= ~found & (squares > 0)
        if not searching[: int(found.argmax()) if found.any() else None].any():
            break
        steps = np.divide((speeds * errors).sum(axis=1), squares, out=np.zeros(len(places)), where=searching)
        places = np.where(searching, np.clip(places + steps, centre_s - reach_s, centre_s + reach_s), places)
    return float(places[found.argmax()]) if found.any() else None


def _passes(motion: JointMotion, columns: np.ndarray, centre_s: float, reach_s: float, position: np.ndarray) -> bool:
    """Whether a motion may be at `position` within `reach_s` of `centre_s` [s]; False: it is certainly not.

    Within a piece a cubic lies between the smallest and the largest of its Bezier points.
    """
    begin_s, end_s = centre_s - reach_s, centre_s + reach_s
    inside = (motion.times_s > begin_s) & (motion.times_s < end_s)
    times_s = np.sort(np.concatenate([np.linspace(begin_s, end_s, PIECES + 1), motion.times_s[inside]]))
    positions, velocities = (values[:, columns] for values in motion.sample_offsets(times_s))
    third_s = np.diff(times_s)[:, None] / 3
    first, last = positions[:-1], positions[1:]
    points = np.stack([first, first + third_s * velocities[:-1], last - third_s * velocities[1:], last])
    near = (position >= points.min(axis=0) - 2 * EXACT_RAD) & (position <= points.max(axis=0) + 2 * EXACT_RAD)
    return bool(near.all(axis=1).any())


def _alike(one: JointMotion, other: JointMotion, columns: np.ndarray, time_ns: int) -> bool:
    """Whether two motions are in the same places from `time_ns` on: at their knots, and half-way between them."""
    knots_s = np.concatenate([one.times_s, other.times_s + one.offset_s(other.origin_ns)])
    now_s = one.offset_s(time_ns)
    knots_s = np.unique(np.concatenate([[now_s], knots_s[knots_s > now_s]]))
    times_s = np.concatenate([knots_s, (knots_s[:-1] + knots_s[1:]) / 2])
    apart = one.sample_offsets(times_s)[0][:, columns] - other.sample_offsets(times_s - one.offset_s(other.origin_ns))[0][:, columns]
    return bool((np.abs(apart) <= ALIKE_RAD).all())


def distinct_origin_ns(origin_ns: int, taken_ns: Iterable[int]) -> int:
    """The latest origin up to `origin_ns` that is twice SAME_ORIGIN_S from all that are taken; positive: 0 means on arrival."""
    apart_ns = round(2 * SAME_ORIGIN_S * NANOSECONDS)
    for other_ns in sorted(taken_ns, reverse=True):
        if abs(other_ns - origin_ns) < apart_ns:
            origin_ns = other_ns - apart_ns
    return max(origin_ns, 1)
