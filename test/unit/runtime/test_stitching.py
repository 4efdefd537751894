"""Chunks over time: what leaves for the controllers is smooth, late chunks are refused, and every motion ends at rest."""

import numpy as np
import pytest

from dial_core.embodiment import load_embodiment
from dial_core.runtime.guard import Guard
from dial_core.runtime.motion import NANOSECONDS, JointMotion
from dial_core.runtime.stitching import ChunkTooLateError, hold, splice

EMBODIMENT = load_embodiment("gr1")
GUARD = Guard.for_embodiment(EMBODIMENT)
STEP_S = 0.05
ARM = 7  # r_shoulder_pitch: -3 to 3 rad, 3 rad/s


def reach(time_s):
    """A quintic reach of 0.8 rad in 2 s, right shoulder pitch; (n, 29) [rad]."""
    s = np.clip(np.asarray(time_s) / 2.0, 0, 1)
    positions = np.tile(EMBODIMENT.home_position, (len(s), 1))
    positions[:, ARM] += 0.8 * s**3 * (10 - 15 * s + 6 * s**2)
    return positions


def chunk_at(stamp_s):
    return reach(stamp_s + STEP_S * np.arange(1, 17))


def ns(time_s):
    return round(time_s * NANOSECONDS)


def play(latency_s, period_s=0.2, end_s=2.5):
    """The positions and velocities commanded at 1 kHz while chunks of the reach arrive late by `latency_s`."""
    running = JointMotion.standing(0, EMBODIMENT.home_position)
    times = np.arange(0.0, end_s, 0.001)
    commands, clamped_in_all, next_stamp = [], 0, 0.0
    for time_s in times:
        if time_s >= next_stamp + latency_s:
            running, clamped = splice(running, chunk_at(next_stamp), ns(next_stamp), ns(time_s + 0.02), STEP_S, GUARD)
            clamped_in_all += clamped
            next_stamp += period_s
        commands.append(running.sample(ns(time_s)))
    return times, np.array([p for p, _ in commands]), np.array([v for _, v in commands]), clamped_in_all


def test_a_reach_inside_the_limits_arrives_unclamped_and_on_time_whatever_the_latency():
    for latency_s in (0.03, 0.12, 0.3):
        times, positions, _, clamped = play(latency_s)
        settled = times > 0.5
        assert clamped == 0
        # The joint follows the reach itself, not the reach plus the latency.
        assert np.abs(positions - reach(times))[settled].max() < 0.004


def test_commands_have_no_jump_in_position_and_little_in_velocity_across_splices():
    _, positions, velocities, _ = play(0.1)
    assert np.abs(np.diff(positions, axis=0)).max() < 0.001 * 1.2
    assert np.abs(np.diff(velocities[:, ARM])).max() < 0.05


def test_what_is_kept_of_the_running_motion_is_exactly_that_motion():
    first, _ = splice(JointMotion.standing(0, reach([0.0])[0]), chunk_at(0.0), 0, ns(0.06), STEP_S, GUARD)
    second, _ = splice(first, chunk_at(0.2) + 0.1, ns(0.2), ns(0.33), STEP_S, GUARD)
    for time_s in np.linspace(0.202, 0.33, 50):
        for kept, ran in zip(second.sample(ns(time_s)), first.sample(ns(time_s)), strict=True):
            np.testing.assert_allclose(kept, ran, atol=1e-6)


def test_every_motion_is_a_valid_chunk_for_a_controller():
    first, _ = splice(JointMotion.standing(0, reach([0.0])[0]), chunk_at(0.0), 0, ns(0.06), STEP_S, GUARD)
    second, _ = splice(first, chunk_at(0.2), ns(0.2), ns(0.31), STEP_S, GUARD)
    for motion in (first, second, hold(second, ns(0.5), 0.02, GUARD)):
        assert motion.times_s[0] > 0
        assert (np.diff(motion.times_s) > 0.0005).all()
        assert (motion.velocities[-1] == 0).all()


def test_a_hold_decelerates_within_the_limits_and_stands():
    running, _ = splice(JointMotion.standing(0, reach([0.0])[0]), chunk_at(0.8), 0, ns(0.02), STEP_S, GUARD)
    held = hold(running, ns(0.3), 0.02, GUARD)
    before = running.sample(ns(0.32))
    at_leave = held.sample(ns(0.32))
    np.testing.assert_allclose(at_leave[1], before[1], atol=1e-9)
    assert held.end_ns - ns(0.3) < ns(0.2)
    velocities = np.array([held.sample(ns(t))[1] for t in np.arange(0.32, 0.6, 0.001)])
    assert (np.abs(np.diff(velocities, axis=0)) / 0.001 <= EMBODIMENT.acceleration * 1.01).all()
    assert (velocities[-1] == 0).all()


def beyond_limits(motion, start_s, end_s):
    """Farthest position beyond a limit [rad] and highest speed, of its limit, that a controller at 1 kHz is led through."""
    samples = [motion.sample(ns(time_s)) for time_s in np.arange(start_s, end_s, 0.001)]
    positions, velocities = (np.array(parts) for parts in zip(*samples, strict=True))
    farthest = max((EMBODIMENT.lower - positions).max(), (positions - EMBODIMENT.upper).max())
    return farthest, (np.abs(velocities) / EMBODIMENT.velocity).max()


@pytest.mark.parametrize("seed", range(5))
def test_wild_targets_are_brought_inside_all_limits_between_the_knots_too(seed):
    wild = np.random.default_rng(seed).normal(0.0, 4.0, (16, 29))
    motion, clamped = splice(JointMotion.standing(0, EMBODIMENT.home_position), wild, 0, ns(0.05), STEP_S, GUARD)
    assert clamped > 100
    assert (np.abs(motion.velocities) <= EMBODIMENT.velocity * 1.001).all()
    farthest, speed = beyond_limits(motion, 0.0, 1.2)
    assert farthest <= 1e-6
    # Knots keep the limit; the cubic between two at rest is 1.5 times as fast in its middle as on average.
    assert speed <= 1.5


def test_a_target_beyond_a_limit_is_approached_without_passing_it():
    targets = np.tile(EMBODIMENT.home_position, (16, 1))
    targets[:, ARM] = EMBODIMENT.upper[ARM] + 1.0
    near = EMBODIMENT.home_position.copy()
    near[ARM] = EMBODIMENT.upper[ARM] - 0.4
    motion, _ = splice(JointMotion.standing(0, near), targets, 0, ns(0.02), STEP_S, GUARD)
    assert beyond_limits(motion, 0.0, 1.2)[0] <= 1e-6
    assert motion.positions[-1, ARM] == EMBODIMENT.upper[ARM]


def test_splices_and_holds_of_a_wild_motion_stay_inside_too():
    rng = np.random.default_rng(3)
    motion = JointMotion.standing(0, EMBODIMENT.home_position)
    for stamp_s in np.arange(8) * 0.2037:
        wild = rng.normal(0.0, 4.0, (16, 29))
        motion, _ = splice(motion, wild, ns(stamp_s), ns(stamp_s + 0.113), STEP_S, GUARD)
        farthest, speed = beyond_limits(motion, stamp_s, stamp_s + 0.4)
        assert farthest <= 1e-4  # just after a splice the running velocity rules
        assert speed <= 1.5
        held = hold(motion, ns(stamp_s + 0.2), 0.02, GUARD)
        assert beyond_limits(held, stamp_s + 0.2, stamp_s + 0.6)[0] <= 1e-4
        assert (np.diff(held.times_s) > 0.0005).all()
        assert (held.velocities[-1] == 0).all()


def test_a_hold_outside_the_limits_moves_back_gently():
    guard = Guard.for_embodiment(EMBODIMENT, 0.05)
    standing = JointMotion.standing(0, EMBODIMENT.upper)
    held = hold(standing, ns(1.0), 0.02, guard)
    np.testing.assert_allclose(held.positions[-1], guard.upper)
    velocities = np.array([held.sample(ns(t))[1] for t in np.arange(1.0, 1.1, 0.001)])
    assert np.abs(velocities).max() <= 1.5 * 0.05 / 0.05 + 1e-9


def test_a_chunk_that_is_wholly_past_is_refused_with_both_times():
    with pytest.raises(ChunkTooLateError, match=r"0\.80 s after.*0\.85 s have passed"):
        splice(JointMotion.standing(0, EMBODIMENT.home_position), chunk_at(0.0), 0, ns(0.85), STEP_S, GUARD)


def test_stamps_of_today_lose_no_precision():
    today = 1_763_971_200 * NANOSECONDS + 123_456_789
    first, _ = splice(JointMotion.standing(today, reach([0.0])[0]), chunk_at(0.0), today, today + ns(0.06), STEP_S, GUARD)
    np.testing.assert_allclose(first.sample(today + ns(0.4))[0], reach([0.4])[0], atol=1e-9)
