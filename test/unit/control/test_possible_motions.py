"""What a controller may execute: each case that only a sequence of trajectories, or one that is lost, can bring about.

pytest test/unit/control/test_possible_motions.py
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.possible_motions import STEP_SHARE, PossibleMotions
from dial_core.control.splice import hold
from dial_core.control.trajectory_checks import BreachError, Tolerances, TrajectoryCheck

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, MS, START_NS

ARM_LIMITS = LIMITS.of(ARM_COLUMNS)
HOME = GR1.home_position[ARM_COLUMNS]
TOLERANCES = Tolerances()
STEP_RAD = STEP_SHARE * ARM_LIMITS.acceleration * TOLERANCES.period_s**2


@pytest.fixture
def motions():
    return PossibleMotions(JointMotion.standing(START_NS, HOME), ARM.joints, TOLERANCES)


def swing(begin_ns, offset=0.0, delta=0.1, over_s=1.0):
    """From rest to rest; stamped 0.2 s before its first point."""
    shares = np.array([0.0, 0.5, 1.0])
    velocities = np.outer([0.0, 1.5 * delta / over_s, 0.0], np.ones(len(HOME)))
    return JointMotion(begin_ns - 200 * MS, 0.2 + shares * over_s, HOME + offset + shares[:, None] * delta, velocities)


def first_twice(motion):
    return {
        name: np.insert(rows, 0, rows[0], axis=0) for name, rows in (("positions", motion.positions), ("velocities", motion.velocities))
    }


def refused(motions, new, now_ns):
    with pytest.raises(BreachError) as error:
        motions.pass_on(new, now_ns, ARM_LIMITS)
    return error.value


def test_differences_too_small_for_a_step_do_not_add_up_within_the_time_that_a_controller_needs(motions):
    begin_ns, now_ns = START_NS + 50 * MS, START_NS + 300 * MS
    motions.pass_on(swing(begin_ns), START_NS, ARM_LIMITS)
    motions.pass_on(swing(begin_ns, 0.9 * STEP_RAD), now_ns, ARM_LIMITS)
    for ms in (0, 10, 32):
        assert refused(motions, swing(begin_ns, 1.8 * STEP_RAD), now_ns + ms * MS).check is TrajectoryCheck.LATE
    motions.pass_on(swing(begin_ns, 1.8 * STEP_RAD), now_ns + 33 * MS, ARM_LIMITS)


def test_one_that_ends_before_a_controller_may_have_it_must_not_differ_at_all_since_it_may_be_rejected(motions):
    motions.pass_on(swing(START_NS + 100 * MS), START_NS, ARM_LIMITS)
    stays = JointMotion(START_NS, np.array([0.01, 0.015]), np.stack([HOME, HOME]), np.zeros((2, len(HOME))))
    assert "steps by 0.1" in str(refused(motions, stays, START_NS + 12 * MS))
    motions.pass_on(replace(stays, times_s=np.array([0.01, 0.045])), START_NS + 12 * MS, ARM_LIMITS)


def test_a_hold_that_comes_late_is_late_also_if_its_history_was_never_executed(motions):
    motions.pass_on(swing(START_NS + 50 * MS), START_NS, ARM_LIMITS)
    now_ns = START_NS + 400 * MS
    stop = hold(motions.newest, now_ns - 300 * MS, now_ns + 20 * MS, ARM_LIMITS)
    times_s = np.sort(np.append(stop.times_s, [0.1, 0.2]))
    positions, velocities = stop.sample_offsets(times_s)
    positions[times_s < 0.2] += 0.2
    assert refused(motions, JointMotion(stop.origin_ns, times_s, positions, velocities), now_ns).check is TrajectoryCheck.LATE
    assert refused(motions, replace(stop, positions=stop.positions + 0.01), now_ns).check is TrajectoryCheck.CONTINUITY


@pytest.mark.parametrize("period_s", [0.001, 0.01])
def test_a_controller_on_its_way_to_a_first_point_is_given_nothing_that_would_hurry_it(period_s):
    motions = PossibleMotions(JointMotion.standing(START_NS, HOME), ARM.joints, replace(TOLERANCES, period_s=period_s))
    first_ns = START_NS + 150 * MS
    motions.pass_on(swing(first_ns, offset=0.03), START_NS, ARM_LIMITS)
    now_ns = START_NS + 40 * MS
    assert motions.approaching(now_ns)
    for other in (swing(now_ns, offset=0.03), swing(first_ns + 20 * MS, offset=0.03), swing(first_ns, offset=-0.03), swing(first_ns, 0.03)):
        assert refused(motions, other, now_ns).check is TrajectoryCheck.LATE
    assert motions.decelerate(now_ns, START_NS - 600 * MS, ARM_LIMITS) is None
    stop = motions.decelerate(first_ns, START_NS - 600 * MS, ARM_LIMITS)
    assert np.abs(stop.positions[-1] - HOME - 0.03).max() < 0.03


def test_a_short_way_to_a_first_point_may_be_begun_again_and_a_hold_stands_there(motions):
    first_ns = START_NS + 150 * MS
    motions.pass_on(swing(first_ns, offset=0.005), START_NS, ARM_LIMITS)
    motions.pass_on(swing(first_ns, offset=0.005, delta=-0.1), START_NS + 20 * MS, ARM_LIMITS)
    stop = motions.decelerate(START_NS + 40 * MS, START_NS - 600 * MS, ARM_LIMITS)
    assert stop.begin_ns == first_ns
    np.testing.assert_allclose(stop.positions, np.broadcast_to(HOME + 0.005, stop.positions.shape), atol=1e-12)
    assert refused(motions, swing(first_ns + MS, offset=0.005), START_NS + 60 * MS).check is TrajectoryCheck.LATE


def test_the_time_for_the_way_to_a_first_point_counts_from_the_latest_update_and_the_first_set_point_twice(motions):
    """12 d / T^2 <= a, T from one period before the last set-point of what runs; 2 % more is tolerated."""
    period_s = TOLERANCES.period_s
    way_s = 0.1
    first_ns = START_NS + round((way_s + TOLERANCES.forward_s - period_s) * NANOSECONDS)
    largest = ARM_LIMITS.acceleration.min() * way_s**2 / 12
    assert "to its first point" in str(refused(motions, swing(first_ns, offset=1.03 * largest), START_NS))
    motions.pass_on(swing(first_ns, offset=1.01 * largest), START_NS, ARM_LIMITS)


@pytest.mark.parametrize("beyond_m", [0.051, -0.3])
def test_a_first_point_far_from_where_a_controller_rests_is_no_continuation(motions, beyond_m):
    error = refused(motions, swing(START_NS + 400 * MS, offset=beyond_m), START_NS)
    assert error.check is TrajectoryCheck.CONTINUITY
    assert f"{abs(beyond_m):.3f} rad" in str(error)


def test_a_moving_controller_is_led_nowhere(motions):
    motions.pass_on(swing(START_NS + 50 * MS), START_NS, ARM_LIMITS)
    now_ns = START_NS + 300 * MS
    goal = motions.newest.sample(now_ns + 200 * MS)[0] - HOME
    assert "but the controller moves" in str(refused(motions, swing(now_ns + 200 * MS, offset=goal), now_ns))


def test_after_the_clock_was_set_all_that_may_be_executed_is_later(motions):
    motions.pass_on(swing(START_NS + 150 * MS, offset=0.03), START_NS, ARM_LIMITS)
    motions.shift(5 * NANOSECONDS)
    assert motions.approaching(START_NS + 5 * NANOSECONDS + 149 * MS)
    assert not motions.approaching(START_NS + 5 * NANOSECONDS + 150 * MS)
    place, _ = motions.newest.sample(START_NS + 5 * NANOSECONDS + 150 * MS)
    np.testing.assert_allclose(place, HOME + 0.03)


def ended(now_ns, offset):
    """A point `offset` [rad] from rest that a controller may find in the past when it arrives, and reject."""
    return JointMotion(now_ns - 5 * MS, np.array([0.005]), HOME[None] + offset, np.zeros((1, len(HOME))))


def test_one_that_may_be_rejected_changes_nothing(motions):
    """The controller may keep to the one before for ever: however many such ones pass, they must not lead away from it."""
    standing = motions.newest
    assert "steps by 0.0000" in str(refused(motions, ended(START_NS, 0.9 * STEP_RAD), START_NS))
    for k in range(3):
        motions.pass_on(ended(START_NS + 31 * MS * k, 0.019 * STEP_RAD), START_NS + 31 * MS * k, ARM_LIMITS)
    assert motions.newest is standing


def test_one_with_the_same_first_point_agrees_with_all_that_the_controller_may_have_when_it_is_there(motions):
    """Differences of most of a step each, sent within the last window before the first point, must not add up."""
    first_ns = START_NS + 150 * MS

    def later_by(share):
        """Differs from the one of share 0 by `share` of a step 20 ms after the first point."""
        one = swing(first_ns, 0.005)
        at = one.sample_offsets(np.array([0.22]))
        times_s = np.insert(one.times_s, 1, 0.22)
        positions, velocities = np.insert(one.positions, 1, at[0], axis=0), np.insert(one.velocities, 1, at[1], axis=0)
        velocities[1] += share * STEP_SHARE * ARM_LIMITS.acceleration * TOLERANCES.period_s
        return JointMotion(one.origin_ns, times_s, positions, velocities)

    motions.pass_on(later_by(0.0), START_NS, ARM_LIMITS)
    motions.pass_on(later_by(0.9), first_ns - 8 * MS, ARM_LIMITS)
    assert refused(motions, later_by(1.8), first_ns - 4 * MS).check is TrajectoryCheck.LATE


def test_one_with_the_same_first_point_that_may_be_rejected_must_not_stop_there(motions):
    """It ends on the way from the guard to the controller, which then goes on with the one before."""
    first_ns = START_NS + 150 * MS
    waits = swing(first_ns + 100 * MS, 0.005)
    motions.pass_on(replace(waits, times_s=np.insert(waits.times_s, 0, 0.1), **first_twice(waits)), START_NS, ARM_LIMITS)
    stays = JointMotion(first_ns - 200 * MS, np.array([0.2, 0.201]), np.stack([HOME, HOME]) + 0.005, np.zeros((2, len(HOME))))
    assert refused(motions, stays, first_ns - 4 * MS).check is TrajectoryCheck.LATE


def test_a_start_from_rest_that_arrives_after_its_first_point_is_late(motions):
    new = swing(START_NS + 100 * MS, offset=0.001)
    assert refused(motions, new, START_NS + 110 * MS).check is TrajectoryCheck.LATE
    assert refused(motions, new, START_NS + 290 * MS).check is TrajectoryCheck.LATE
    assert refused(motions, new, START_NS + 310 * MS).check is TrajectoryCheck.CONTINUITY
    assert refused(motions, swing(START_NS + 100 * MS, offset=0.06), START_NS + 110 * MS).check is TrajectoryCheck.CONTINUITY


def test_what_does_not_continue_the_guards_own_hold_is_late_until_its_commander_must_have_noticed(motions):
    motions.pass_on(swing(START_NS + 50 * MS), START_NS, ARM_LIMITS)
    stop = motions.decelerate(START_NS + 300 * MS, START_NS - 300 * MS, ARM_LIMITS)
    for after_ms, check in ((-50, TrajectoryCheck.LATE), (490, TrajectoryCheck.LATE), (510, TrajectoryCheck.CONTINUITY)):
        now_ns = stop.end_ns + after_ms * MS
        elsewhere = swing(now_ns - 250 * MS, offset=0.2)
        assert refused(motions, elsewhere, now_ns).check is check


def test_a_start_from_rest_that_comes_just_before_the_rest_is_no_wrong_trajectory(motions):
    motions.pass_on(swing(START_NS + 50 * MS), START_NS, ARM_LIMITS)
    for before_ms, check in ((10, TrajectoryCheck.LATE), (300, TrajectoryCheck.CONTINUITY)):
        now_ns = motions.newest.end_ns - before_ms * MS
        assert refused(motions, swing(now_ns + 100 * MS, offset=0.1), now_ns).check is check
