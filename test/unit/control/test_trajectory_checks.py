"""What is judged of a trajectory by itself: form, age, and pieces that are too short for their times in whole nanoseconds.

pytest test/unit/control/test_trajectory_checks.py
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.trajectory_checks import BreachError, TrajectoryCheck, require_limits

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, MS, START_NS, Rig, changed

ARM_LIMITS = LIMITS.of(ARM_COLUMNS)
HOME = GR1.home_position[ARM_COLUMNS]


def bent(piece_s, share):
    """From rest: ten pieces of a mean acceleration of `share` of the limit, within each of which it grows from 0 to twice that, and back.

    Ends in the middle of its motion, which is not judged here.
    """
    mean = share * ARM_LIMITS.acceleration
    positions, velocities = [HOME], [np.zeros(len(HOME))]
    for k in range(10):
        off = mean * piece_s**2 / 6 * (-1) ** (k + 1)  # growing first: less far than at the mean velocity
        positions.append(positions[-1] + piece_s * (velocities[-1] + mean * piece_s / 2) + off)
        velocities.append(velocities[-1] + mean * piece_s)
    return JointMotion(START_NS, 0.01 + piece_s * np.arange(11), np.array(positions), np.array(velocities))


def judge(motion):
    require_limits(HOME, motion, START_NS, ARM_LIMITS, ARM.joints)


@pytest.mark.parametrize("piece_s", [0.000_999, 0.001_001])
def test_a_piece_is_judged_by_its_peak_also_if_it_is_short(piece_s):
    judge(bent(piece_s, 0.5))
    with pytest.raises(BreachError, match="would reach") as error:
        judge(bent(piece_s, 0.52))
    assert error.value.check is TrajectoryCheck.ACCELERATION


def crowded(request, points):
    """`points` that stand, within less than 1 ms, after the first point."""
    times_ns = (request.times_ns[0], *(request.times_ns[0] + 10 * MS + 25_000 * k for k in range(points)))
    return replace(
        request, times_ns=times_ns, positions=request.positions[:1] * len(times_ns), velocities=request.velocities[:1] * len(times_ns)
    )


def test_twenty_points_within_a_millisecond_are_judged():
    rig = Rig()
    assert rig.offer(ARM.name, crowded(rig.swing(0.1), 20))


MALFORMED = {
    "not finite": lambda t: replace(t, positions=changed(t.positions, 1, 0, np.nan)),
    "named twice": lambda t: replace(t, joint_names=(t.joint_names[0], *t.joint_names[:-1])),
    "do not match": lambda t: replace(t, joint_names=("elbow", *t.joint_names[1:])),
    "without velocities": lambda t: replace(t, velocities=()),
    "accelerations": lambda t: replace(t, accelerations=t.velocities),
    "empty": lambda t: replace(t, times_ns=(), positions=(), velocities=()),
    "more than 20 points within 0.001 s": lambda t: crowded(t, 21),
    "more than 20 points": lambda t: crowded(t, 39),
    "before its stamp": lambda t: replace(t, times_ns=(-1, *t.times_ns[1:])),
    "stamp is negative": lambda t: replace(t, stamp_ns=-1),
}


@pytest.mark.parametrize("words", MALFORMED)
def test_a_malformed_trajectory_is_named(words):
    rig = Rig()
    assert not rig.offer(ARM.name, MALFORMED[words](rig.swing(0.1)))
    assert words in str(rig.guard.breach)
    assert rig.guard.latched


@pytest.mark.parametrize(
    ("stamp", "words"),
    [(lambda now: 0, "no stamp"), (lambda now: now - 2 * NANOSECONDS, "2.00 s ago"), (lambda now: now + 50 * MS, "0.050 s ahead")],
)
def test_a_stamp_that_is_missing_old_or_ahead_is_refused(stamp, words):
    rig = Rig()
    assert not rig.offer(ARM.name, rig.swing(0.1, stamp_ns=stamp(rig.now_ns)))
    assert words in str(rig.guard.breach)


def test_a_first_point_far_ahead_is_refused():
    rig = Rig()
    assert not rig.offer(ARM.name, rig.swing(0.1, begins_s=0.7))
    assert rig.guard.breach.check is TrajectoryCheck.AGE
