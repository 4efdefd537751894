"""Chunks over time: what leaves for the controllers is smooth, late chunks are refused, and every motion ends at rest."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dial_core.control.joint_limits import Guard, Limit, Margins
from dial_core.control.motion import NANOSECONDS, JointMotion, merged
from dial_core.control.splice import ChunkTooLateError, hold, reaching_back, splice
from dial_core.robot.embodiment import load_embodiment

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
            clamped_in_all += clamped.total() if next_stamp > 0 else 0  # the first has a late start to catch up with
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


@given(st.integers(0, 10_000), st.floats(2e-6, 0.001), st.floats(0.0, 0.002))
@settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_what_is_kept_has_every_knot_of_two_motions_however_close_they_are(seed, apart_s, after_s):
    rng, start = np.random.default_rng(seed), JointMotion.standing(0, EMBODIMENT.home_position)
    wild = EMBODIMENT.home_position + rng.normal(0.0, 0.5, (2, 16, 29))
    one, other = (splice(start, wild[k], ns(k * apart_s), ns(0.06 + k * apart_s), STEP_S, GUARD)[0] for k in (0, 1))
    both = merged(one, other, np.arange(15))
    held = hold(both, ns(0.1), ns(0.325 + after_s), GUARD)
    for time_s in np.linspace(0.103, 0.324, 100):
        for kept, ran in zip(held.sample(ns(time_s)), both.sample(ns(time_s)), strict=True):
            np.testing.assert_allclose(kept, ran, atol=1e-6)
    assert beyond_limits(held, 0.1, 0.8) <= SLACK


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0.0003, 0.003), st.floats(-0.05, 0.8))
def test_a_motion_that_reaches_back_is_what_ran_before_and_itself_from_its_own_beginning_on(seed, knot_s, back_s):
    rng, stamp_ns = np.random.default_rng(seed), ns(1.0)
    old_s = np.sort(np.append(rng.uniform(0.001, 2.0, 12), 1.0 + knot_s))
    running = JointMotion(0, old_s, np.cumsum(rng.normal(0, 0.01, (13, 29)), 0) + EMBODIMENT.home_position, rng.normal(0, 0.1, (13, 29)))
    motion, _ = splice(running, chunk_at(1.0), stamp_ns, ns(1.1), STEP_S, GUARD)
    origin_ns = stamp_ns - ns(back_s)
    back = reaching_back(motion, running, origin_ns)
    assert back.times_s[0] > 0
    assert (np.diff((back.times_s * NANOSECONDS).round()) > 0).all(), "a message counts nanoseconds"
    assert back.begin_ns <= motion.begin_ns
    if back is motion:
        assert back_s < 0.002, "an origin that is earlier is taken"
        return
    assert back.origin_ns == origin_ns
    for source, begin_ns, end_ns in (
        (running, max(back.begin_ns, running.begin_ns), motion.begin_ns),
        (motion, motion.begin_ns, motion.end_ns),
    ):
        for time_ns in np.linspace(begin_ns + 1, end_ns, 50).round().astype(int):
            np.testing.assert_allclose(back.sample(int(time_ns)), source.sample(int(time_ns)), rtol=0, atol=1e-6)


def test_every_motion_is_a_valid_chunk_for_a_controller():
    first, _ = splice(JointMotion.standing(0, reach([0.0])[0]), chunk_at(0.0), 0, ns(0.06), STEP_S, GUARD)
    second, _ = splice(first, chunk_at(0.2), ns(0.2), ns(0.31), STEP_S, GUARD)
    for motion in (first, second, hold(second, ns(0.5), ns(0.52), GUARD)):
        assert motion.times_s[0] > 0
        assert (np.diff(motion.times_s) > 0.0005).all()
        assert (motion.velocities[-1] == 0).all()


def test_a_hold_decelerates_within_the_limits_and_stands():
    running, _ = splice(JointMotion.standing(0, reach([0.0])[0]), chunk_at(0.8), 0, ns(0.02), STEP_S, GUARD)
    held = hold(running, ns(0.3), ns(0.32), GUARD)
    np.testing.assert_allclose(held.sample(ns(0.32))[1], running.sample(ns(0.32))[1], atol=1e-6)
    assert held.end_ns - ns(0.3) < ns(0.2)
    assert beyond_limits(held, 0.3, 0.6) <= SLACK
    assert (held.velocities[-1] == 0).all()


SLACK = 1e-5


def beyond_limits(motion, start_s, end_s, guard=GUARD):
    """How far a controller at 1 kHz is led beyond a limit: of position [rad], or of velocity and acceleration as a share."""
    # From the first knot on: a controller that has it would come from where it is.
    samples = [motion.sample(ns(time_s)) for time_s in np.arange(start_s + 0.002, end_s, 0.001)]
    positions, velocities = (np.array(parts) for parts in zip(*samples, strict=True))
    farthest = max((guard.lower - positions).max(), (positions - guard.upper).max())
    speed = (np.abs(velocities) / guard.velocity).max() - 1
    acceleration = (np.abs(np.diff(velocities, axis=0)) / 0.001 / guard.acceleration).max() - 1
    return max(farthest, speed, acceleration)


@given(st.integers(0, 10_000), st.floats(0.1, 10.0), st.lists(st.floats(0.01, 0.7), min_size=1, max_size=4))
@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_whatever_chunks_ask_for_all_limits_hold_at_every_moment(seed, wildness, latencies_s):
    rng = np.random.default_rng(seed)
    motion, stamp_s = JointMotion.standing(0, EMBODIMENT.home_position), 0.0
    for latency_s in latencies_s:
        wild = EMBODIMENT.home_position + rng.normal(0.0, wildness, (16, 29))
        motion, _ = splice(motion, wild, ns(stamp_s), ns(stamp_s + latency_s), STEP_S, GUARD)
        assert beyond_limits(motion, stamp_s, stamp_s + 1.2) <= SLACK
        held = hold(motion, ns(stamp_s + latency_s + 0.1), ns(stamp_s + latency_s + 0.12), GUARD)
        assert beyond_limits(held, stamp_s + latency_s + 0.1, stamp_s + 1.5) <= SLACK
        assert (np.diff(held.times_s) > 0.0005).all()
        assert (held.velocities[-1] == 0).all()
        stamp_s += latency_s


def test_what_the_limits_move_is_counted_by_the_limit():
    home = JointMotion.standing(0, EMBODIMENT.home_position)
    targets = np.tile(EMBODIMENT.home_position, (16, 1))
    targets[:, ARM] = EMBODIMENT.upper[ARM] + 1.0
    _, clamps = splice(home, targets, 0, ns(0.02), STEP_S, GUARD)
    assert clamps[Limit.POSITION] == 16
    assert clamps[Limit.VELOCITY] > 0
    targets[:, ARM] = EMBODIMENT.home_position[ARM] + 0.05
    _, clamps = splice(home, targets, 0, ns(0.02), STEP_S, GUARD)
    assert set(clamps) == {Limit.ACCELERATION}
    guard = Guard.for_embodiment(EMBODIMENT, Margins(jump=0.05))
    targets[:, ARM] = 2.9
    _, clamps = splice(home, targets, 0, ns(0.02), STEP_S, guard, EMBODIMENT.home_position)
    assert clamps[Limit.JUMP] > 0


def test_a_target_beyond_a_limit_is_approached_without_passing_it():
    targets = np.tile(EMBODIMENT.home_position, (16, 1))
    targets[:, ARM] = EMBODIMENT.upper[ARM] + 1.0
    near = EMBODIMENT.home_position.copy()
    near[ARM] = EMBODIMENT.upper[ARM] - 0.4
    motion, _ = splice(JointMotion.standing(0, near), targets, 0, ns(0.02), STEP_S, GUARD)
    assert beyond_limits(motion, 0.0, 1.2) <= SLACK
    assert motion.positions[-1, ARM] == pytest.approx(EMBODIMENT.upper[ARM], abs=0.005)


def test_a_robot_found_outside_its_limits_is_led_back_within_them_by_a_chunk_and_not_at_all_by_a_hold():
    guard = Guard.for_embodiment(EMBODIMENT, Margins(position=0.05))
    standing = JointMotion.standing(0, EMBODIMENT.upper)
    np.testing.assert_array_equal(hold(standing, ns(1.0), ns(1.02), guard).positions[-1], EMBODIMENT.upper)
    led, _ = splice(standing, np.tile(EMBODIMENT.upper, (16, 1)), ns(1.0), ns(1.02), STEP_S, guard)
    np.testing.assert_allclose(led.positions[-1], guard.upper, atol=5e-3)
    velocities = np.array([led.sample(ns(t))[1] for t in np.arange(1.002, 2.0, 0.001)])
    assert (np.abs(velocities) <= guard.velocity * (1 + SLACK)).all()
    assert (np.abs(np.diff(velocities, axis=0)) / 0.001 <= guard.acceleration * (1 + SLACK)).all()


def test_the_greatest_jump_holds_for_a_joint_that_is_found_far_outside_its_limits():
    """As a mirrored sign in the YAML makes it: the arm at -1 rad, its limits from 0 to 3."""
    guard = Guard.for_embodiment(EMBODIMENT, Margins(jump=0.1))
    measured = EMBODIMENT.home_position.copy()
    measured[1] = -1.0  # l_shoulder_roll
    led, clamps = splice(JointMotion.standing(0, measured), np.tile(measured, (2, 1)), ns(0.0), ns(0.02), STEP_S, guard, measured)
    assert led.sample(ns(0.1))[0][1] <= -1.0 + 0.1 + 0.1 * guard.velocity[1] + 1e-6
    assert clamps[Limit.JUMP] == 2
    assert beyond_limits(led, 0.02, 0.6, replace(guard, lower=guard.lower - 1.0)) <= SLACK


def test_a_chunk_that_is_wholly_past_is_refused_with_both_times():
    with pytest.raises(ChunkTooLateError, match=r"0\.80 s after.*0\.85 s have passed"):
        splice(JointMotion.standing(0, EMBODIMENT.home_position), chunk_at(0.0), 0, ns(0.85), STEP_S, GUARD)


def test_stamps_of_today_lose_no_precision():
    today = 1_763_971_200 * NANOSECONDS + 123_456_789
    first, _ = splice(JointMotion.standing(today, reach([0.0])[0]), chunk_at(0.0), today, today + ns(0.06), STEP_S, GUARD)
    np.testing.assert_allclose(first.sample(today + ns(0.4))[0], reach([0.4])[0], atol=1e-9)
