"""Joints at their position limits: they are stopped there at once, wherever the motion that runs is left.

pytest test/unit/control/test_limit_tracking.py
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.control.joint_limits import Guard, Margins
from dial_core.control.limit_tracking import PIECE_S, SLACK, Knots, braking, finer, longest_braking_s, track_within_limits
from dial_core.control.motion import JointMotion
from dial_core.control.splice import hold
from dial_core.finiteness import NotFiniteError
from dial_core.robot.embodiment import load_embodiment

GUARD = Guard.for_embodiment(load_embodiment("gr1"))
OUTSIDE_RAD = 1e-5


def farthest_outside(knots):
    """Of the cubics between the knots [rad], at 0.1 ms."""
    motion = JointMotion(0, *knots)
    positions, _ = motion.sample_offsets(np.arange(knots.times_s[0], knots.times_s[-1], 1e-4))
    return float(np.maximum(GUARD.lower - positions, positions - GUARD.upper).max())


@given(st.floats(-1.0, 1.0), st.booleans())
def test_a_joint_that_reaches_its_limit_with_as_much_speed_as_slack_allows_stays_there(room, upper):
    """A chunk may end so: its last target is brought to the limit, and its last velocity is that of its last two targets."""
    speed = np.sqrt(2 * GUARD.acceleration * SLACK)
    edge, outwards = (GUARD.upper, 1.0) if upper else (GUARD.lower, -1.0)
    start = edge - outwards * SLACK * room, outwards * speed
    assert farthest_outside(braking(0.0, start, GUARD)) <= OUTSIDE_RAD
    wanted = Knots(np.array([0.0, 0.05, 0.1]), np.array([start[0], edge, edge]), np.array([start[1], 0 * edge, 0 * edge]))
    assert farthest_outside(track_within_limits(finer(wanted), GUARD)) <= OUTSIDE_RAD


def test_a_hold_of_a_finger_that_closes_onto_its_limit_stops_there():
    """As recorded: a fist that wavered by a tenth of a milliradian at 0 was held 0.05 mrad beyond it, at others' times 0.2 mrad."""
    finger = 15
    positions = np.tile(load_embodiment("gr1").home_position, (3, 1))
    velocities = np.zeros_like(positions)
    positions[:, finger], velocities[:, finger] = (1e-4, 0.0, 0.0), (-0.004, -0.004, 0.0)
    running = JointMotion(10**9, np.array([0.001, 0.028, 0.05]), positions, velocities)
    held = hold(running, 10**9, 10**9 + 28_000_000, GUARD)
    times_s = np.arange(0.028, held.times_s[-1], 1e-4)
    assert held.sample_offsets(times_s)[0][:, finger].min() >= -OUTSIDE_RAD


def test_braking_keeps_the_acceleration_limit_in_its_short_first_piece_too():
    speed = np.minimum(0.5, GUARD.velocity)
    knots = braking(0.0, ((GUARD.lower + GUARD.upper) / 2, speed), GUARD)
    changes = np.abs(np.diff(knots.velocities, axis=0)) / np.diff(knots.times_s)[:, None]
    assert (changes <= GUARD.acceleration * (1 + 1e-9)).all()
    assert knots.times_s[1] == pytest.approx(0.001)


def test_a_hold_at_rest_ends_a_whole_piece_after_it_takes_over():
    held = hold(JointMotion.standing(10**9, load_embodiment("gr1").home_position), 10**9, 10**9 + 250_000_000, GUARD)
    assert held.times_s[-1] >= 0.25 + PIECE_S


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_braking_from_values_that_are_not_finite_is_refused_instead_of_never_ending(part, value):
    start = GUARD.lower.copy(), np.zeros(29)
    start[part][3] = value
    with pytest.raises(NotFiniteError, match=r"1 of 29 values are not finite"):
        braking(0.0, start, GUARD)


@pytest.mark.parametrize("velocity", [0.0, 1e3, -1e12])
@pytest.mark.parametrize("position", [0.0, -1e3, 1e12])
def test_braking_ends_at_rest_wherever_it_begins(position, velocity):
    knots = braking(0.0, (np.full(29, position), np.full(29, velocity)), GUARD)
    assert knots.times_s[-1] <= longest_braking_s(GUARD) + PIECE_S
    assert not knots.velocities[-1].any()


@pytest.mark.parametrize("outwards_rad_s", [-1.0, -0.05, 0.0, 0.05, 1.0])
@pytest.mark.parametrize("beyond_rad", [-0.001, 0.01, 0.1, 1000.0])
def test_a_joint_outside_its_limits_is_only_decelerated_by_a_stop(beyond_rad, outwards_rad_s):
    """It was led back inside for up to two seconds, at up to its highest speed, while an emergency stop was in force."""
    knots = braking(0.0, (GUARD.upper + beyond_rad, np.full(29, outwards_rad_s)), GUARD)
    changes = np.abs(np.diff(knots.velocities, axis=0)) / np.diff(knots.times_s)[:, None]
    assert (changes <= GUARD.acceleration * (1 + 1e-9)).all()
    assert (np.diff(np.abs(knots.velocities), axis=0) <= 1e-12).all()
    assert knots.times_s[-1] < 1.0 / GUARD.acceleration.min() + 2 * PIECE_S


def test_an_emergency_stop_of_a_robot_that_rests_outside_its_margins_leaves_it_there():
    """With a margin of 0.1 rad the open fingers of the GR1, at their limit, closed by 0.1 rad."""
    guard, home = Guard.for_embodiment(load_embodiment("gr1"), Margins(position=0.1)), load_embodiment("gr1").home_position
    held = hold(JointMotion.standing(10**9, home), 10**9, 10**9 + 50_000_000, guard)
    assert (held.positions == home).all()
