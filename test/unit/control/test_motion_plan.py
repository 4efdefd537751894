"""The plan over many chunks: splices are continuous, delays are measured, and nothing but real chunks counts."""

from unittest.mock import Mock

import numpy as np
import pytest

from dial_core.control import motion_plan
from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import MotionPlan
from dial_core.control.overlap import STRATEGIES
from dial_core.control.send_conditions import MotionStartingError, SpliceMissedError
from dial_core.control.splice import ChunkTooLateError
from dial_core.control.splice_timing import SOFT_START_S
from dial_core.finiteness import NotFiniteError
from dial_core.robot.embodiment import load_embodiment

EMBODIMENT = load_embodiment("gr1")
GUARD = Guard.for_embodiment(EMBODIMENT)
JOINTS, STEP_S = EMBODIMENT.joint_slice, 0.05
SPLICES = 250  # a strategy: a thousand in all


def ns(time_s):
    return round(time_s * NANOSECONDS)


class At:
    """An outlet at one moment; preparing takes `preparing_s`."""

    def __init__(self, time_s, preparing_s=0.0):
        self.time_s, self.preparing_s = time_s, preparing_s

    def now_ns(self):
        return ns(self.time_s)

    def prepare(self, motion, without=()):
        self.time_s += self.preparing_s
        return lambda: None


def plan(strategy="replace"):
    return MotionPlan(JOINTS, STEP_S, GUARD, 0.02, strategy)


def wandering(rng, stamp_s):
    """A chunk (16, 47): slow sines of all joints, and noise that makes successive chunks disagree by some hundredths of a radian."""
    times_s = stamp_s + STEP_S * np.arange(1, 17)[:, None]
    phase = np.arange(29)
    joints = EMBODIMENT.home_position + 0.3 * np.sin(0.7 * times_s + phase) + rng.normal(0, 0.03, 29) + rng.normal(0, 0.004, (16, 29))
    return np.concatenate([np.zeros((16, 18)), joints], axis=1).astype(np.float32)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_over_a_thousand_splices_position_and_velocity_are_continuous_and_no_limit_is_passed(strategy):
    rng, moving, stamp_s = np.random.default_rng(0), plan(strategy), 0.0
    measured = EMBODIMENT.home_position
    worst_position = worst_velocity = worst_speed = worst_acceleration = 0.0
    for _ in range(SPLICES + 1):
        latency_s = rng.uniform(0.02, 0.25)
        before = moving.running
        moving.committed(ns(stamp_s))
        moving.follow(wandering(rng, stamp_s), ns(stamp_s), measured, At(stamp_s + latency_s))
        if before is not None:
            # Left and right of every moment around the splice: the motion is the old one before, continuous across.
            for offset_s in (-0.002, -0.001, 0.0):
                moment = ns(stamp_s + latency_s + 0.02 + offset_s)
                old, new = before.sample(moment), moving.running.sample(moment)
                if offset_s < 0:
                    worst_position = max(worst_position, np.abs(old[0] - new[0]).max())
                    worst_velocity = max(worst_velocity, np.abs(old[1] - new[1]).max())
        times = np.arange(stamp_s + latency_s, stamp_s + latency_s + 0.1, 0.005)
        samples = [moving.running.sample(ns(time_s)) for time_s in times]
        velocities = np.array([velocity for _, velocity in samples])
        worst_speed = max(worst_speed, (np.abs(velocities) / GUARD.velocity).max())
        worst_acceleration = max(worst_acceleration, (np.abs(np.diff(velocities, axis=0)) / 0.005 / GUARD.acceleration).max())
        stamp_s += rng.uniform(0.1, 0.3)
    assert worst_position < 1e-3 * GUARD.velocity.max() * 2e-3
    assert worst_velocity < 1e-3 * GUARD.velocity.max()
    assert worst_speed <= 1 + 1e-5
    assert worst_acceleration <= 1 + 1e-5


def test_one_step_is_assumed_before_the_first_chunk_and_only_sent_chunks_count():
    moving, rng = plan("rtc"), np.random.default_rng(0)
    assert moving.timing.estimated_delay_s == STEP_S
    assert moving.committed(ns(1.0)) is None
    with pytest.raises(ChunkTooLateError):
        moving.follow(wandering(rng, 0.0), 0, EMBODIMENT.home_position, At(0.9))
    assert moving.timing.estimated_delay_s == STEP_S, "a chunk that was never sent says nothing about the delay"
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.11))
    assert moving.timing.estimated_delay_s == pytest.approx(0.13)


def test_a_motion_takes_over_only_after_splicing_and_preparing_have_had_their_time():
    moving, rng = plan(), np.random.default_rng(0)
    moving.follow(wandering(rng, 0.5), ns(0.5), EMBODIMENT.home_position, At(0.6))
    assert moving.timing.takes_over_ns(ns(1.0), moving.timing.lead_s) == ns(1.02)
    sent = moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1, preparing_s=0.03))
    assert (sent.sent_ns, sent.takes_over_ns) == (ns(1.16), ns(1.18)), "the first attempt did not know how long it takes"
    assert moving.timing.takes_over_ns(ns(1.2), moving.timing.lead_s) == ns(1.25)
    before = moving.running
    sent = moving.follow(wandering(rng, 1.15), ns(1.15), EMBODIMENT.home_position, At(1.25, preparing_s=0.03))
    assert sent.takes_over_ns == ns(1.30)
    for moment in (1.26, 1.28, 1.299):
        np.testing.assert_allclose(moving.running.sample(ns(moment))[0], before.sample(ns(moment))[0], atol=1e-6)


def test_from_the_measured_joints_the_first_point_lies_ahead_and_controllers_come_to_it_from_where_they_stand():
    moving, rng, sent = plan(), np.random.default_rng(0), []
    outlet = At(1.1)
    outlet.prepare = lambda motion, without=(): lambda: sent.append(motion)
    measured = EMBODIMENT.home_position + 0.02  # the servos' error: the controllers stand at home
    takes_over_ns = moving.follow(wandering(rng, 1.0), ns(1.0), measured, outlet).takes_over_ns
    assert takes_over_ns == ns(1.12 + SOFT_START_S)
    assert sent[0].offset_s(takes_over_ns) == pytest.approx(sent[0].times_s[0])
    np.testing.assert_allclose(sent[0].positions[0], measured)
    assert (sent[0].velocities[0] == 0).all()
    outlet.time_s = 1.15
    with pytest.raises(MotionStartingError):
        moving.follow(wandering(rng, 1.05), ns(1.05), measured, outlet)
    held = moving.hold(outlet)
    assert len(sent) == 2
    np.testing.assert_allclose(held.positions, np.broadcast_to(measured, held.positions.shape))


def test_a_motion_resumes_where_it_was_commanded_to_unless_somebody_moved_the_robot():
    moving, rng = plan(), np.random.default_rng(0)
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1))
    rest = moving.hold(At(1.4)).positions[-1]
    moving.drop_chunks()
    measured = rest + 0.03
    measured[5] += 0.4
    moving.follow(wandering(rng, 9.0), ns(9.0), measured, At(9.1))
    start = moving.running.sample(ns(9.1))[0]
    assert start[5] == pytest.approx(measured[5])
    np.testing.assert_allclose(np.delete(start, 5), np.delete(rest, 5))


def test_while_the_clock_is_unknown_no_chunk_is_sent_and_a_hold_is_owed():
    moving, rng = plan(), np.random.default_rng(0)
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1))
    unknown = At(0.0)
    unknown.now_ns = lambda: None
    with pytest.raises(SpliceMissedError, match="a clock has stepped"):
        moving.follow(wandering(rng, 1.15), ns(1.15), EMBODIMENT.home_position, unknown)
    assert moving.hold(unknown) is None
    assert moving.hold_owed
    assert moving.hold(At(1.5)) is moving.running
    assert not moving.hold_owed


def test_a_hold_that_cannot_be_computed_stays_owed_until_it_can(monkeypatch):
    moving, rng = plan(), np.random.default_rng(0)
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1))
    with monkeypatch.context() as broken:
        broken.setattr(motion_plan, "hold", Mock(side_effect=NotFiniteError("positions are not finite")))
        with pytest.raises(NotFiniteError):
            moving.hold(At(1.3))
    assert moving.hold_owed
    assert moving.hold(At(1.31)) is moving.running
    assert not moving.hold_owed


def test_an_observation_ahead_of_the_robots_clock_never_becomes_a_trajectory():
    moving, rng = plan(), np.random.default_rng(0)
    with pytest.raises(SpliceMissedError, match=r"stamped 0\.30 s ahead of the robot's clock"):
        moving.follow(wandering(rng, 1.4), ns(1.4), EMBODIMENT.home_position, At(1.1))


def test_when_the_robots_clock_is_set_the_commanded_motion_moves_along():
    moving, rng = plan(), np.random.default_rng(0)
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1))
    before = moving.running.sample(ns(1.4))
    moving.shift(ns(10.0))
    np.testing.assert_allclose(moving.running.sample(ns(11.4)), before)


def test_committed_steps_are_counted_by_what_was_consumed_between_the_stamps():
    moving, rng = plan("rtc"), np.random.default_rng(0)
    chunk = wandering(rng, 1.0)
    moving.follow(chunk, ns(1.0), EMBODIMENT.home_position, At(1.08))
    committed = moving.committed(ns(1.0 + 4 * STEP_S))
    np.testing.assert_allclose(committed.actions[:12], chunk[4:], atol=1e-6)
    # 0.08 s and the lead of 0.02 s: two steps are executed before the next chunk can take over.
    assert (committed.weights[:2] == 1).all()
    assert (np.diff(committed.weights[1:13]) < 0).all()
    assert (committed.weights[12:] == 0).all()


def test_a_hold_before_the_first_chunk_is_nothing_and_after_it_ends_at_rest():
    moving, rng = plan(), np.random.default_rng(0)
    assert moving.hold(At(1.0)) is None
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1))
    held = moving.hold(At(1.3))
    assert (held.velocities[-1] == 0).all()
    assert held is moving.running


def test_after_the_motion_is_dropped_the_next_starts_from_the_measured_joints():
    moving, rng = plan("blend"), np.random.default_rng(0)
    moving.follow(wandering(rng, 1.0), ns(1.0), EMBODIMENT.home_position, At(1.1))
    moving.reset()
    elsewhere = EMBODIMENT.home_position + 0.05
    moving.follow(wandering(rng, 3.0), ns(3.0), elsewhere, At(3.1))
    np.testing.assert_allclose(moving.running.sample(ns(3.05))[0], elsewhere)


def test_a_joint_that_the_servo_left_just_beyond_its_limit_starts_at_the_limit_and_one_that_was_moved_there_where_it_is():
    """As System-1 found it after a restart in mid-motion: the first set-point was 1.7 mrad outside."""
    for beyond_rad, starts_beyond_rad in ((0.0017, 0.0), (0.02, 0.02)):
        measured = EMBODIMENT.home_position.copy()
        measured[3] = GUARD.upper[3] + beyond_rad
        moving = plan()
        moving.follow(wandering(np.random.default_rng(0), 0.0), ns(0.0), measured, At(0.05))
        assert moving.running.positions[0, 3] - GUARD.upper[3] == pytest.approx(starts_beyond_rad)
