"""Whole motions of a controller that reports what it executes: latencies that grow, trajectories that are lost, reports that end.

pytest test/unit/control/test_reporting_controllers.py
"""

import contextlib

import numpy as np
import pytest

from dial_core.control.latencies import LEAD_MARGIN_SHARE, LONGEST_LEAD_S
from dial_core.control.played_motion import SAME_ORIGIN_S
from dial_core.control.send_conditions import SpliceMissedError

from .reporting_world import S, follow_chunks, reporting
from .test_arrival import GR1, MS, restless


def test_a_motion_that_is_lost_before_it_takes_over_is_not_continued_by_the_next_chunk():
    world, plan = reporting(transport_ms=20)
    follow_chunks(world, plan, 4)
    plan.timing.note_preparation(0, 150 * MS)  # a busy machine: the next motions take over much later than they are sent
    accept, world.arm.accept = world.arm.accept, lambda request, now_ns: None
    follow_chunks(world, plan, 1)
    world.arm.accept = accept
    follow_chunks(world, plan, 4)
    assert plan.execution.lost > 0
    assert world.use().kept, world.use()


def test_a_chunk_is_not_spliced_while_a_controller_is_silent():
    world, plan = reporting(transport_ms=20)
    follow_chunks(world, plan, 4)
    world.execution = None
    assert follow_chunks(world, plan, 3) >= 2
    with pytest.raises(SpliceMissedError, match="arm has stopped reporting"):
        plan.follow(restless(np.random.default_rng(1), 1.0), world.time_ns, world.arm.command[0], world)
    assert plan.hold(world) is not None, "a stop is sent all the same"


def test_the_lead_grows_with_the_measured_latency_until_limits_are_kept():
    world, plan = reporting(transport_ms=120)
    follow_chunks(world, plan, 3)
    assert plan.timing.lead_s == pytest.approx(0.13 * (1 + LEAD_MARGIN_SHARE), abs=0.016)
    world.go_on(world.time_ns + 3 * S)
    world.stamps_ns, world.set_points = [], []
    assert follow_chunks(world, plan, 20) < 3
    assert world.use().kept, world.use()
    assert world.use().acceleration > 0.9


def test_a_controller_that_is_activated_just_after_a_hold_does_not_step_by_it():
    world, plan = reporting(transport_ms=60)
    follow_chunks(world, plan, 6)
    accept, tell, world.arm.accept = world.arm.accept, world.execution, lambda request, now_ns: None
    world.arm.hold(world.arm.command[0])  # inactive: it stands where it was, and neither listens nor reports
    world.execution = None
    world.stamps_ns, world.set_points = [], []
    world.go_on(world.time_ns + 1100 * MS)
    assert tell.unknown(world.time_ns) == ["arm"]
    plan.hold(world)
    world.arm.accept, world.execution = accept, tell  # active again, before the hold arrives
    world.go_on(world.time_ns + 500 * MS)
    assert np.ptp(world.set_points, axis=0).max() == 0.0


def test_from_rest_a_latency_that_has_grown_meanwhile_is_measured_before_it_can_make_a_step():
    world, plan = reporting(transport_ms=10)
    follow_chunks(world, plan, 4)
    plan.hold(world)
    world.go_on(plan.running.end_ns + 500 * MS)
    world.transport_ms = 90
    world.stamps_ns, world.set_points = [], []
    follow_chunks(world, plan, 12)
    assert plan.timing.lead_s > 0.09
    assert world.use().kept, world.use()
    assert world.use().acceleration > 0.5


def test_where_the_machine_cannot_keep_up_nothing_is_spliced_until_the_robot_rests():
    world, plan = reporting(transport_ms=600)
    follow_chunks(world, plan, 6)
    assert plan.execution.latencies.longest_s > LONGEST_LEAD_S
    with pytest.raises(SpliceMissedError, match="coming to rest"):
        plan.follow(restless(np.random.default_rng(1), 1.0), world.time_ns - 50 * MS, GR1.home_position, world)
    world.go_on(plan.running.end_ns + 20 * MS)
    published = world.published
    world.transport_ms = 10
    follow_chunks(world, plan, 3)
    assert world.published > published, "at rest it begins again"


def test_trajectories_that_are_lost_for_a_while_leave_no_step():
    world, plan = reporting(transport_ms=20)
    follow_chunks(world, plan, 4)
    for _ in range(3):
        deliver, world.sent = world.sent, []
        world.arm_accepts, lost = world.arm.accept, []
        world.arm.accept = lambda request, now_ns, lost=lost: lost.append(request)
        follow_chunks(world, plan, 2)
        world.arm.accept = world.arm_accepts
        assert lost or deliver
        follow_chunks(world, plan, 3)
    assert plan.execution.lost >= 3
    assert world.use().kept, world.use()


@pytest.mark.parametrize("shown_by", ["reports", "joint states"])
@pytest.mark.parametrize("camera", ["the robot's clock", "System-1's clock"])
@pytest.mark.parametrize("ahead_ms", [0, 20, 50, 150, 300])
def test_a_clock_ahead_of_the_controllers_does_not_make_a_motion_begin_from_rest_before_they_rest(ahead_ms, camera, shown_by):
    # Beside ten busy processes the simulator was not scheduled for 50 ms: 9 times an acceleration limit.
    sent = 0
    for before_ms in range(-20, 360, 40):
        world, plan = reporting(transport_ms=0)
        if shown_by == "joint states":
            world.execution = None
        follow_chunks(world, plan, 2)
        world.go_on(plan.running.end_ns - before_ms * MS)
        plan.execution.note_measured(plan.running, world.time_ns, world.arm.command[0])
        world.now_ns = lambda world=world: world.time_ns + ahead_ms * MS
        world.preparing_ms = lambda: 0
        stamp_ns = (world.now_ns() if camera == "System-1's clock" else world.time_ns) - 30 * MS
        with contextlib.suppress(SpliceMissedError):
            sent += bool(plan.follow(restless(np.random.default_rng(3), 3.0), stamp_ns, world.arm.command[0], world))
        world.go_on(world.time_ns + 2 * S)
        assert world.use().kept, (before_ms, world.use())
    assert sent or ahead_ms > 150, "not every chunk is refused"


@pytest.mark.parametrize("drift_ms", [0, -12])
@pytest.mark.parametrize(("ahead_ms", "latency_ms"), [(0, 20), (50, 20), (80, 40), (140, 40)])
def test_a_camera_and_a_system1_that_are_ahead_of_what_the_controllers_show_move_them_within_their_limits(ahead_ms, latency_ms, drift_ms):
    world, plan = reporting(transport_ms=10)
    world.drift_ns = drift_ms * MS
    world.now_ns = lambda: world.time_ns + ahead_ms * MS
    world.preparing_ms = lambda: 5
    rng, origins_ns = np.random.default_rng(0), []
    for k in range(24):
        stamp_ns, due_ns = world.now_ns(), world.time_ns + 150 * MS
        world.go_on(world.time_ns + latency_ms * MS)
        plan.execution.note_measured(plan.running, world.time_ns - 40 * MS, world.arm.command[0])
        with contextlib.suppress(SpliceMissedError):
            if plan.follow(restless(rng, stamp_ns / S), stamp_ns, world.arm.command[0], world):
                origins_ns.append(plan.running.origin_ns)
                assert k < 8 or plan.running.begin_ns < world.time_ns, "in motion its first point is past"
        if k == 16:
            plan.hold(world)
            origins_ns.append(plan.running.origin_ns)
        world.go_on(due_ns)
    assert len(origins_ns) >= 12
    assert world.use().kept, world.use()
    assert world.use().acceleration > 0.5, "it moves"
    assert plan.execution.lost == 0
    assert np.diff(np.sort(origins_ns)).min() >= 2 * SAME_ORIGIN_S * S, "reports tell them apart"


def test_chunks_for_which_the_robot_has_shown_no_new_time_begin_apart():
    world, plan = reporting(transport_ms=10)
    world.preparing_ms = lambda: 5
    follow_chunks(world, plan, 8)
    plan.execution.note_measured(plan.running, world.time_ns, world.arm.command[0])  # the last joint state for a while
    origins_ns = []
    for _ in range(3):
        stamp_ns = world.time_ns
        world.go_on(stamp_ns + 60 * MS)
        if plan.follow(restless(np.random.default_rng(4), stamp_ns / S), stamp_ns + 30 * MS, world.arm.command[0], world):
            origins_ns.append(plan.running.origin_ns)
        world.go_on(stamp_ns + 130 * MS)
    assert np.diff(np.sort(origins_ns)).min() >= 2 * SAME_ORIGIN_S * S
    assert max(origins_ns) < stamp_ns - 200 * MS, "all before what the robot has shown"
    assert world.use().kept, world.use()


def test_a_stop_after_the_robot_has_gone_silent_while_a_motion_began_has_no_point_before_its_origin():
    world, plan = reporting(transport_ms=0)
    follow_chunks(world, plan, 1)
    world.execution = None  # neither reports nor joint states from now on
    world.go_on(world.time_ns + 2 * S)
    sent, prepare = [], world.prepare
    world.prepare = lambda motion, without=(): sent.append(motion) or prepare(motion, without)
    plan.hold(world)
    assert sent[0].times_s[0] > 0


def test_a_report_with_nan_neither_reaches_the_controllers_nor_keeps_a_stop_from_ending():
    world, plan = reporting(transport_ms=5)
    follow_chunks(world, plan, 3)
    world.go_on(world.time_ns + 300 * MS)
    tell, world.execution = world.execution, None
    broken = world.arm.command[0].copy()
    broken[3] = np.nan
    assert "not finite: l_elbow_pitch" in tell.note_reference("arm", world.time_ns, world.arm.origin_ns, broken)
    assert plan.hold(world) is not None
    world.go_on(world.time_ns + S)
    assert not world.arm.command[1].any()
    assert world.use().kept, world.use()
