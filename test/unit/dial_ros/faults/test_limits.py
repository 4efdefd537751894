"""The judge of what was executed: exact at the limit, blind to clock jumps, and not to be fooled."""

import numpy as np
import pytest

from dial_core.control.joint_limits import Guard
from dial_ros.faults.limits import LimitUse, limit_use, worst_of

PERIOD_NS = 10_000_000
GUARD = Guard(lower=np.array([-1.0]), upper=np.array([1.0]), velocity=np.array([2.0]), acceleration=np.array([10.0]))


def use_of(positions, stamps=None):
    positions = np.asarray(positions, float)[:, None]
    stamps = np.arange(len(positions)) * PERIOD_NS if stamps is None else np.array(stamps)
    return limit_use(stamps, positions, GUARD, PERIOD_NS)


def test_constant_acceleration_at_the_limit_uses_all_of_it_and_no_more():
    times_s = np.arange(20) * 0.01
    use = use_of(0.5 * 10.0 * times_s**2)
    assert use.acceleration == pytest.approx(1.0, abs=1e-6)
    assert use.kept


def test_a_step_in_the_set_points_breaks_the_acceleration_limit():
    assert not use_of([0.0, 0.0, 0.005, 0.005]).kept


def test_a_target_outside_its_range_breaks_the_position_limit():
    use = use_of([1.002] * 3)
    assert use.outside_rad == pytest.approx(0.002)
    assert not use.kept


def test_a_constant_speed_above_the_limit_is_found():
    assert use_of(0.021 * np.arange(5)).velocity == pytest.approx(1.05)


def test_no_velocity_is_made_of_a_clock_that_jumped_or_a_message_that_is_missing():
    assert use_of([0.0, 0.0, 0.9, 0.9], [0, 1 * PERIOD_NS, 0, 1 * PERIOD_NS]).velocity == 0.0
    assert use_of([0.0, 0.0, 0.9, 0.9], [0, 1 * PERIOD_NS, 3 * PERIOD_NS, 4 * PERIOD_NS]).velocity == 0.0


def test_the_worst_of_two_records_is_kept_and_their_numbers_add_up():
    both = LimitUse(0.0, 0.5, 0.9, 10) | LimitUse(-0.1, 0.7, 0.2, 5)
    assert both == LimitUse(0.0, 0.7, 0.9, 15)


def test_nothing_recorded_uses_nothing():
    assert limit_use(np.array([], np.int64), np.empty((0, 1)), GUARD, PERIOD_NS) == LimitUse()


def test_what_is_not_judged_makes_no_acceleration():
    positions = np.array([0.0, 0.005, 0.01, 0.01, 0.01])[:, None]
    judged = np.ones((5, 1), dtype=bool)
    judged[2] = False
    stamps = np.arange(5) * PERIOD_NS
    assert not limit_use(stamps, positions, GUARD, PERIOD_NS).kept
    assert limit_use(stamps, positions, GUARD, PERIOD_NS, judged).kept


@pytest.mark.parametrize(
    ("positions", "worst"),
    [
        ([0.0, 0.0, 0.005, 0.005, 0.5], 3),
        ([0.0, 0.0, 0.0, 1.0005, 1.0], 3),
        ([1.0, 1.0005, 1.001, 1.0005], 2),
    ],
)
def test_the_worst_moment_is_that_of_a_step_else_the_farthest_outside(positions, worst):
    stamps = np.arange(len(positions)) * PERIOD_NS
    assert worst_of(stamps, np.array(positions)[:, None], GUARD, PERIOD_NS) == (worst, 0)
