"""Controllers that do not say how long they have played (ros2_controllers before 4.34): what they play is found by where they are.

pytest test/unit/control/test_reports_without_origin.py
"""

import numpy as np
import pytest

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import JointMotion
from dial_core.control.motion_plan import SPLICE_LEAD_S

from .reporting_world import S, follow_chunks, reporting
from .test_arrival import MS, restless


def without_origin(transport_ms):
    """World and plan of a robot whose reports name no origin."""
    world, plan = reporting(transport_ms)
    world.names_origin = False
    return world, plan


def moving(origin_s, slope):
    """Three joints from 0 at 1 s on, at a constant speed that changes to `slope` at 1.5 s, at rest after 3 s."""
    times_s = np.array([1.0, 1.5, 2.9, 3.0])
    positions = np.array([0.0, 0.05, 0.05 + 1.4 * slope, 0.05 + 1.45 * slope])
    velocities = np.array([0.1, 0.1, slope, 0.0])
    if slope != 0.1:
        times_s, positions, velocities = (np.insert(values, 2, x) for values, x in ((times_s, 1.6), (positions, 0.06), (velocities, slope)))
    return JointMotion(
        round(origin_s * S), times_s - origin_s, np.repeat(positions[:, None], 3, axis=1), np.repeat(velocities[:, None], 3, axis=1)
    )


@pytest.fixture
def execution():
    return ExecutedMotion({"arm": [0, 1], "hand": [2]}, ("a", "b", "c"), max_divergence_rad=0.3)


def report(execution, time_s, motion, shift_s=0.0):
    """Both controllers report where they are in `motion`, sampled `shift_s` after the stamp."""
    time_ns = round(time_s * S)
    position = motion.sample(time_ns + round(shift_s * S))[0]
    for name, columns in (("arm", [0, 1]), ("hand", [2])):
        execution.note_reference(name, time_ns, None, position[columns])


def test_such_controllers_are_sent_every_chunk_within_their_limits():
    world, plan = without_origin(transport_ms=20)
    follow_chunks(world, plan, 3)
    published = world.published
    assert follow_chunks(world, plan, 20) == 0
    assert world.published == published + 20
    assert world.use().kept, world.use()
    assert world.use().acceleration > 0.9
    assert plan.execution.lost == 0
    assert plan.execution.diverged(plan.running, world.time_ns) == {}
    assert plan.timing.lead_s == SPLICE_LEAD_S, "as of robots that do not report: their latency is not measured"


def test_a_stop_in_motion_keeps_the_limits():
    for after_ms in (30, 70, 110, 450):
        world, plan = without_origin(transport_ms=5)
        follow_chunks(world, plan, 4)
        stamp_ns = world.time_ns
        world.go_on(stamp_ns + 80 * MS)
        plan.follow(restless(np.random.default_rng(2), stamp_ns / S), stamp_ns, world.arm.command[0], world)
        world.go_on(world.time_ns + after_ms * MS)
        assert np.abs(world.arm.command[1]).max() > 0.5
        plan.hold(world)
        world.go_on(world.time_ns + S)
        assert not world.arm.command[1].any()
        assert world.use().kept, (after_ms, world.use())


def test_trajectories_that_are_lost_for_a_while_leave_no_step():
    world, plan = without_origin(transport_ms=20)
    follow_chunks(world, plan, 4)
    accept = world.arm.accept
    for _ in range(3):
        world.arm.accept = lambda request, now_ns: None
        follow_chunks(world, plan, 2)
        world.arm.accept = accept
        follow_chunks(world, plan, 3)
    assert plan.execution.lost >= 3
    assert world.use().kept, world.use()


def test_a_transport_that_becomes_slow_is_found_and_the_lead_follows_it():
    world, plan = without_origin(transport_ms=10)
    follow_chunks(world, plan, 4)
    world.transport_ms = 110
    follow_chunks(world, plan, 4)
    assert plan.timing.lead_s > 0.12
    world.go_on(world.time_ns + 3 * S)
    world.stamps_ns, world.set_points = [], []
    follow_chunks(world, plan, 12)
    assert world.use().kept, world.use()
    world.transport_ms = 10
    follow_chunks(world, plan, 120)
    assert plan.timing.lead_s == SPLICE_LEAD_S, "motions in time make it short again"


def test_two_motions_that_still_coincide_are_not_told_apart_until_one_has_left_the_other(execution):
    old, new = moving(1.0, slope=0.1), moving(1.2, slope=0.3)
    execution.sent(old, round(1.0 * S), round(1.05 * S))
    report(execution, 1.1, old)
    assert not execution.unconfirmed(round(1.1 * S))
    execution.sent(new, round(1.2 * S), round(1.25 * S))
    report(execution, 1.3, old)
    assert execution.unconfirmed(round(1.31 * S)), "both go on alike until 1.5 s"
    assert execution.executed(new, round(1.31 * S)) is new
    report(execution, 1.55, new)
    assert not execution.unconfirmed(round(1.56 * S))
    assert execution.executed(new, round(1.56 * S)) is new
    assert execution.lost == 0


def test_the_motion_that_a_controller_is_in_is_continued_where_the_newest_was_lost(execution):
    old, new = moving(1.0, slope=0.1), moving(1.2, slope=0.3)
    execution.sent(old, round(1.0 * S), round(1.05 * S))
    report(execution, 1.1, old)
    execution.sent(new, round(1.2 * S), round(1.25 * S))
    report(execution, 1.55, old)
    assert not execution.unconfirmed(round(1.56 * S))
    position = execution.executed(new, round(1.56 * S)).sample(round(2.0 * S))[0]
    np.testing.assert_allclose(position, old.sample(round(2.0 * S))[0], atol=1e-9)


def test_a_controller_that_stands_where_a_motion_begins_does_not_show_that_it_plays_it(execution):
    """One that does name origins would be taken for one that does not, before the first trajectory has arrived."""
    sent = moving(1.2, slope=0.1)
    execution.sent(sent, round(1.0 * S), round(1.2 * S))
    for time_s in (0.99, 1.01, 1.1):
        report(execution, time_s, JointMotion.standing(S, np.zeros(3)))
        assert not execution.without_origin("arm")
    assert execution.latencies.longest_s is None


@pytest.mark.parametrize("shift_s", [-0.012, 0.0, 0.007])
def test_reports_may_be_stamped_a_little_beside_the_time_that_they_are_of(execution, shift_s):
    old, new = moving(1.0, slope=0.1), moving(1.2, slope=0.3)
    execution.sent(old, round(1.0 * S), round(1.05 * S))
    for time_s in (1.1, 1.15):
        report(execution, time_s, old, shift_s)
        assert not execution.unconfirmed(round(time_s * S))
    execution.sent(new, round(1.2 * S), round(1.25 * S))
    report(execution, 1.57, new, shift_s)
    assert not execution.unconfirmed(round(1.58 * S))
    assert execution.executed(new, round(1.58 * S)) is new


def test_two_motions_that_end_alike_need_not_be_told_apart(execution):
    old, new = (JointMotion.standing(round(origin_s * S), np.full(3, 0.2)) for origin_s in (1.0, 1.5))
    for motion, sent_s in ((old, 1.0), (new, 1.5)):
        execution.sent(motion, round(sent_s * S), round((sent_s + 0.05) * S))
        report(execution, sent_s + 0.1, motion)
        assert not execution.unconfirmed(round((sent_s + 0.1) * S))


def test_a_controller_that_moves_elsewhere_than_it_was_sent_is_named_with_the_version_that_tells_more(execution):
    sent = moving(1.0, slope=0.1)
    execution.sent(sent, round(1.0 * S), round(1.05 * S))
    for k in range(150):
        report(execution, 1.1 + 0.01 * k, JointMotion(sent.origin_ns, sent.times_s, 0.5 * sent.positions, 0.5 * sent.velocities))
    assert execution.moved_by_others(round(2.59 * S)) == ["arm", "hand"]
    why = execution.diverged(sent, round(2.59 * S))["arm"]
    assert "without time_from_start" in why
    assert "ros2_controllers 4.34.0 (Jazzy) or 5.9.0 (Kilted)" in why


def test_a_controller_that_has_named_an_origin_plays_nothing_of_what_was_sent_when_it_names_none(execution):
    sent = moving(1.0, slope=0.1)
    execution.sent(sent, round(1.0 * S), round(1.05 * S))
    execution.note_reference("arm", round(1.1 * S), sent.origin_ns, sent.sample(round(1.1 * S))[0][:2])
    assert not execution.without_origin("arm")
    report(execution, 1.7, sent)
    position = execution.executed(sent, round(1.71 * S)).sample(round(2.5 * S))[0]
    np.testing.assert_allclose(position[:2], sent.sample(round(1.7 * S))[0][:2], atol=1e-9)
    np.testing.assert_allclose(position[2], sent.sample(round(2.5 * S))[0][2], atol=1e-9)
    assert execution.without_origin("hand")
