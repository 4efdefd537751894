"""Limits and finiteness."""

import numpy as np
import pytest

from dial_core.embodiment import load_embodiment
from dial_core.runtime.guard import Guard, NotFiniteError, require_finite

ONE_JOINT = Guard(np.array([-1.0]), np.array([1.0]), np.array([2.0]), np.array([20.0]))
TIMES_S = 0.05 * np.arange(1, 41)
STILL = (np.zeros(1), np.zeros(1))


def test_positions_are_clamped_and_counted():
    inside, count = ONE_JOINT.clamp_positions(np.array([[0.5], [1.5], [-3.0], [1.001]]))
    assert inside.ravel().tolist() == [0.5, 1.0, -1.0, 1.0]
    assert count == 2  # a thousandth of a radian is not worth counting


def test_the_margin_draws_the_limits_in():
    embodiment = load_embodiment("gr1")
    guard = Guard.for_embodiment(embodiment, 0.02)
    np.testing.assert_allclose(guard.lower - embodiment.lower, 0.02)
    np.testing.assert_allclose(embodiment.upper - guard.upper, 0.02)


def test_a_reachable_motion_passes_unchanged():
    targets = (0.4 * np.sin(TIMES_S * 4))[:, None]
    start = (np.zeros(1), np.array([1.6]))
    reached, count = ONE_JOINT.limit_rates(start, 0.0, TIMES_S, targets)
    np.testing.assert_allclose(reached, targets, atol=1e-12)
    assert count == 0


def test_a_step_is_approached_at_the_limits_and_reached_without_overshoot():
    targets = np.full((40, 1), 0.8)
    reached, count = ONE_JOINT.limit_rates(STILL, 0.0, TIMES_S, targets)
    velocity = np.diff(np.concatenate([[0.0], reached[:, 0]])) / 0.05
    acceleration = np.diff(np.concatenate([[0.0], velocity])) / 0.05
    assert count > 0
    assert np.abs(velocity).max() <= 2.0 + 1e-9
    assert np.abs(acceleration).max() <= 20.0 + 1e-6
    assert reached.max() < 0.8 + 0.03
    assert abs(reached[-1, 0] - 0.8) < 0.01


def test_the_stopping_time_is_that_of_the_joint_that_needs_longest():
    guard = Guard(np.full(2, -1), np.full(2, 1), np.full(2, 2), np.array([10.0, 2.0]))
    assert guard.stopping_time(np.array([1.0, -1.0])) == pytest.approx(0.5)


def test_values_that_are_not_finite_are_named():
    require_finite(np.zeros(3), "chunk")
    with pytest.raises(NotFiniteError, match="chunk: 2 of 3 values"):
        require_finite(np.array([0.0, np.nan, np.inf]), "chunk")
