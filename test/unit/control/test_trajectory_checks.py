"""What is judged of a trajectory by itself: its pieces that are too short for their times in whole nanoseconds.

pytest test/unit/control/test_trajectory_checks.py
"""

import numpy as np
import pytest

from dial_core.control.motion import JointMotion
from dial_core.control.trajectory_checks import BreachError, TrajectoryCheck, require_limits

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, START_NS

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
