"""The lead that latencies ask for: how far it exceeds the longest, and what is kept while few are known.

pytest test/unit/control/test_latencies.py
"""

import numpy as np
import pytest

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.latencies import CAUTIOUS_LEAD_S, CAUTIOUS_MOTIONS, LEAD_MARGIN_S, LONGEST_LEAD_S, Latencies
from dial_core.control.motion import JointMotion
from dial_core.control.motion_plan import SPLICE_LEAD_S

from .reporting_world import S, follow_chunks, reporting
from .test_arrival import MS, restless

# From publishing to execution [ms], of one run of the fault campaign beside ten busy processes that stepped a set-point by 43 mrad: the
# last trajectory waited in the relay that delays them, while the lead was one and a half times the longest before.
RECORDED_MS = (
    *(31, 8, 46, 25, 15, 60, 42, 11, 67, 57, 50, 39, 42, 36, 72, 58, 64, 65, 52, 57, 58, 7, 0, 1, 26, 5, 4, 16, 66, 64, 58, 69, 82),
    *(75, 58, 47, 69, 82, 44, 47, 63, 46, 43, 58, 58, 0, 34, 57, 29, 62, 53, 72, 37, 34, 49, 73, 62, 40, 50, 212),
)


def noted(*latencies_s):
    latencies = Latencies()
    for k, latency_s in enumerate(latencies_s):
        latencies.note(k, latency_s)
    return latencies


def test_latencies_that_scatter_ask_for_more_than_steady_ones_with_the_same_longest():
    assert noted(0.005, 0.006).stop_lead_s == pytest.approx(0.006 + LEAD_MARGIN_S)
    assert noted(0.098, 0.1).stop_lead_s == pytest.approx(0.15)
    assert noted(0.01, 0.1).stop_lead_s == pytest.approx(0.1 + 1.5 * 0.09)


def test_a_chunk_keeps_a_longer_lead_than_a_stop_where_latencies_scatter():
    steady, scattered = (noted(*[0.01, longest_s] * CAUTIOUS_MOTIONS) for longest_s in (0.011, 0.06))
    assert steady.chunk_lead_s == pytest.approx(steady.stop_lead_s)
    assert scattered.chunk_lead_s == pytest.approx(0.06 + 2.5 * 0.05)
    assert scattered.stop_lead_s < scattered.chunk_lead_s


def test_of_one_motion_the_slowest_controller_counts():
    latencies = Latencies()
    for latency_s in (0.08, 0.02):
        latencies.note(7, latency_s)
    assert latencies.longest_s == pytest.approx(0.08)
    assert latencies.stop_lead_s == pytest.approx(0.12), "controllers that differ are not a scatter over time"


def test_a_latency_that_scatters_as_recorded_makes_no_step():
    world, plan = reporting(transport_ms=10)
    for transport_ms in RECORDED_MS:
        world.transport_ms = transport_ms
        follow_chunks(world, plan, 1)
    world.go_on(world.time_ns + 2 * S)
    assert world.use().kept, world.use()
    assert world.use().acceleration > 0.9


def test_from_rest_the_lead_is_long_until_enough_motions_have_been_measured():
    world, plan = reporting(transport_ms=5)
    assert follow_chunks(world, plan, CAUTIOUS_MOTIONS) > 0
    assert plan.timing.lead_s == CAUTIOUS_LEAD_S
    follow_chunks(world, plan, CAUTIOUS_MOTIONS)
    assert plan.timing.lead_s == SPLICE_LEAD_S
    world.go_on(plan.running.end_ns + 100 * MS)
    follow_chunks(world, plan, 1)
    assert plan.timing.lead_s == CAUTIOUS_LEAD_S, "it may have grown while nothing was sent"


@pytest.mark.parametrize("age_ms", [350, 400, 450])
def test_one_long_latency_keeps_no_old_chunk_from_being_sent_from_rest(age_ms):
    """Nothing would ever be measured again that shortens the lead."""
    world, plan = reporting(transport_ms=10)
    for transport_ms in (*[10] * 12, 90, *[10] * 5):
        world.transport_ms = transport_ms
        follow_chunks(world, plan, 1)
    assert plan.timing.lead_s > 0.25
    world.go_on(plan.running.end_ns + S)
    for _ in range(5):
        sent = plan.running
        stamp_ns = world.time_ns
        world.go_on(stamp_ns + age_ms * MS)
        plan.follow(restless(np.random.default_rng(1), stamp_ns / S), stamp_ns, world.arm.command[0], world)
        assert plan.running is not sent
        world.go_on(plan.running.end_ns + S)
    assert world.use().kept, world.use()


def test_while_few_are_measured_a_latency_just_below_the_cautious_lead_makes_no_step():
    world, plan = reporting(transport_ms=5)
    for transport_ms in (5, 5, 5, 5, 190, 5, 5):
        world.transport_ms = transport_ms
        follow_chunks(world, plan, 1)
    assert world.use().kept, world.use()


def test_a_stop_does_not_wait_for_the_cautious_lead():
    world, plan = reporting(transport_ms=5)
    follow_chunks(world, plan, 5)
    assert plan.timing.lead_s == CAUTIOUS_LEAD_S
    now_ns, running = world.time_ns, plan.running
    held = plan.hold(world)
    left = next(t for t in range(now_ns, now_ns + S, MS) if np.abs(held.sample(t)[0] - running.sample(t)[0]).max() > 1e-9)
    assert left <= now_ns + round((SPLICE_LEAD_S + 0.02) * S)


def test_after_a_rest_for_slowness_the_lead_starts_from_the_longest():
    world, plan = reporting(transport_ms=230)
    follow_chunks(world, plan, 12)
    world.transport_ms = 10
    world.go_on(plan.running.end_ns + 500 * MS)
    published = world.published
    follow_chunks(world, plan, 2)
    assert world.published > published, "at rest it begins again"
    assert plan.timing.lead_s == LONGEST_LEAD_S
    assert plan.timing.stop_lead_s(world.time_ns) == LONGEST_LEAD_S


def test_what_is_still_on_its_way_lengthens_the_lead_of_a_stop():
    world, plan = reporting(transport_ms=5)
    follow_chunks(world, plan, 25)
    assert plan.timing.stop_lead_s(world.time_ns) == SPLICE_LEAD_S
    world.transport_ms = 200
    follow_chunks(world, plan, 1)
    pending_s = plan.execution.pending_s(world.time_ns)
    assert 0.05 < pending_s < 0.1
    assert plan.timing.stop_lead_s(world.time_ns) == pytest.approx(1.5 * pending_s)


def test_a_stop_while_a_trajectory_is_late_is_prepared_once():
    world, plan = reporting(transport_ms=60)
    world.preparing_ms = lambda: 30
    follow_chunks(world, plan, 25)
    world.transport_ms, stamp_ns = 200, world.time_ns
    world.go_on(stamp_ns + 80 * MS)
    plan.follow(restless(np.random.default_rng(1), stamp_ns / S), stamp_ns, world.arm.command[0], world)
    world.go_on(world.time_ns + 60 * MS)
    began_ns = world.time_ns
    assert plan.execution.pending_s(began_ns) == pytest.approx(0.06)
    plan.hold(world)
    assert world.time_ns - began_ns == 30 * MS


def test_after_a_rest_for_slowness_what_was_measured_is_reported_until_the_next_motion():
    latencies = noted(0.05, 0.25)
    assert latencies.too_long
    latencies.restart()
    assert not latencies.too_long, "the robot rests, and may begin again"
    assert latencies.longest_s == pytest.approx(0.25)
    latencies.note(3, 0.04)
    assert latencies.longest_s == pytest.approx(0.04)


def test_after_a_rest_for_slowness_the_longest_lead_ends_with_ten_motions_however_often_the_robot_rests_meanwhile():
    latencies = noted(0.25)
    latencies.restart()
    for k in range(CAUTIOUS_MOTIONS):
        assert latencies.stop_lead_s == LONGEST_LEAD_S
        if k % 4 == 0:
            latencies.begin_cautiously()
        latencies.note(1 + k, 0.01)
    assert latencies.stop_lead_s == pytest.approx(0.02)
    assert latencies.chunk_lead_s == CAUTIOUS_LEAD_S


def test_a_report_that_does_not_match_for_a_moment_is_no_latency():
    execution = ExecutedMotion({"arm": [0, 1]}, ("a", "b"), max_divergence_rad=0.3)
    sent = JointMotion.standing(S, np.zeros(2))
    execution.sent(sent, S, S + 50 * MS)
    for time_ms, position in ((10, 0.0), (20, 0.0), (400, 0.02), (410, 0.0)):
        execution.note_reference("arm", S + time_ms * MS, sent.origin_ns, np.full(2, position))
    assert execution.latencies.longest_s == pytest.approx(0.01)
