"""The guard before the controllers: what it passes keeps every limit in what controllers execute, and what System-1 sends passes.

pytest test/unit/control/test_trajectory_guard.py
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import HOLD_HISTORY_S, MotionPlan
from dial_core.control.possible_motions import STEP_SHARE
from dial_core.control.splice import hold
from dial_core.control.trajectory_checks import Tolerances, TrajectoryCheck
from dial_core.control.trajectory_guard import TrajectoryGuard

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, MS, PERIOD_NS, PERIOD_S, START_NS, Rig, changed, request_of


@pytest.fixture
def rig():
    return Rig()


def moved(rows, offset):
    return tuple(tuple(x + offset for x in row) for row in rows)


def test_a_trajectory_within_limits_passes_and_is_executed(rig):
    start = rig.set_points[-1][ARM_COLUMNS]
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.5)
    np.testing.assert_allclose(rig.set_points[-1][ARM_COLUMNS], start + 0.1, atol=1e-6)
    assert rig.guard.passed == 1


@pytest.mark.parametrize(("behind_ms", "passes"), [(0, True), (8, True), (99, True), (150, False)])
def test_joint_states_that_overtook_each_other_are_no_clock_that_went_back(behind_ms, passes):
    rig = Rig()
    rig.guard.note_joints(rig.now_ns - behind_ms * MS, rig.set_points[-1])
    assert rig.offer(ARM.name, rig.swing(0.1)) is passes


BAD = {
    TrajectoryCheck.POSITION: lambda r, t: replace(
        t, positions=changed(changed(t.positions, 1, 3, 0.5), 2, 3, 0.9), times_ns=(10**8, 10**9, 2 * 10**9)
    ),
    TrajectoryCheck.VELOCITY: lambda r, t: r.swing(0.9, over_s=0.42),
    TrajectoryCheck.ACCELERATION: lambda r, t: r.swing(0.3, over_s=0.21),
    TrajectoryCheck.CONTINUITY: lambda r, t: replace(t, stamp_ns=r.now_ns - 100 * MS, positions=moved(t.positions, 0.05)),
    TrajectoryCheck.AGE: lambda r, t: replace(t, stamp_ns=r.now_ns + 3600 * NANOSECONDS),
    TrajectoryCheck.FORM: lambda r, t: replace(t, velocities=changed(t.velocities, 2, 0, 0.5)),
}


@pytest.mark.parametrize("check", BAD, ids=str)
def test_a_bad_trajectory_is_stopped_and_the_failed_check_named(rig, check):
    assert not rig.offer(ARM.name, BAD[check](rig, rig.swing(0.1)))
    assert rig.guard.breach.check is check
    assert ARM.name in str(rig.guard.breach)
    assert rig.guard.refused == {check: 1}


@pytest.mark.parametrize("transport_ms", [0, 10, 20])
def test_whatever_passes_keeps_the_limits_when_the_controller_has_it_only_after_the_longest_transport(transport_ms):
    """A swing that turns back 50 ms after it was sent, offered ever later."""
    passed = []
    for late_ms in range(0, 90, 10):
        rig = Rig()
        assert rig.offer(ARM.name, rig.swing(0.5))
        rig.run(0.4)
        running, sent_ns = rig.guard._controlled[ARM.name].motions.newest, rig.now_ns
        turned = hold(running, sent_ns, sent_ns + 50 * MS, LIMITS.of(ARM_COLUMNS))
        rig.run(late_ms / 1000)
        request = request_of(ARM.name, turned)
        if rig.guard.offer(ARM.name, request, lambda rig=rig: rig.now_ns):
            passed.append(late_ms)
            rig.run(transport_ms / 1000)
            rig.controllers.accept_one(ARM.name, request, rig.now_ns)
        else:
            assert rig.guard.breach.check is TrajectoryCheck.LATE
        rig.run(1.0)
        assert rig.worst <= 1 + 1e-6
    assert passed == [0, 10], "at 20 ms the splice is 30 ms away, within JUDGING_S of what the longest transport and a period take"


def test_a_stop_decelerates_every_controller_within_limits(rig):
    assert rig.offer(ARM.name, rig.swing(1.0, over_s=1.2))
    rig.run(0.6)
    assert not rig.offer(GR1.controllers[1].name, rig.swing(0.1))  # another controller's joints
    moving = rig.set_points[-1][ARM_COLUMNS]
    rig.run(1.0)
    rested = rig.set_points[-1]
    rig.run(0.2)
    np.testing.assert_allclose(rig.set_points[-1], rested, atol=1e-12)
    assert np.abs(rested[ARM_COLUMNS] - moving).max() < 0.3
    assert rig.worst <= 1.05


def test_a_hold_has_an_origin_that_no_commander_takes_for_one_of_its_own(rig):
    """System-1 recognises by origins, to 20 ms, which of its motions a controller plays: one of them was taken for a hold a step away."""
    stamps_ns = [rig.now_ns - round(1e9 * HOLD_HISTORY_S) + offset * MS for offset in (-140, -70, -35, -3, 5, 200)]
    for stamp_ns in stamps_ns:
        rig.offer(ARM.name, rig.swing(0.1, begins_s=(rig.now_ns - stamp_ns) / 1e9 + 0.1, stamp_ns=stamp_ns))
    hold_ns = dict(rig.guard.holds(lambda: rig.now_ns))[ARM.name].origin_ns
    assert min(abs(hold_ns - stamp_ns) for stamp_ns in stamps_ns) >= 40 * MS
    assert 0 <= rig.now_ns - hold_ns - 1e9 * HOLD_HISTORY_S < 300 * MS


def test_after_a_wrong_trajectory_nothing_passes_until_a_reset(rig):
    rig.offer(ARM.name, BAD[TrajectoryCheck.FORM](rig, rig.swing(0.1)))
    rig.run(0.5)
    assert not rig.offer(ARM.name, rig.swing(0.1))
    assert rig.guard.refused[TrajectoryCheck.FORM] == 2
    rig.guard.reset()
    assert rig.offer(ARM.name, rig.swing(0.1))


def test_after_what_passes_by_itself_the_next_motion_passes_and_the_refused_one_does_not(rig):
    bad = rig.swing(0.1)
    assert not rig.offer(ARM.name, bad, (TrajectoryCheck.SOURCE, "two nodes publish"))
    assert not rig.offer(ARM.name, bad), "the same motion, or its part for another controller"
    rig.run(0.5)
    assert rig.offer(ARM.name, rig.swing(0.1))
    assert rig.guard.breach is None


def test_trajectories_that_the_controller_rejects_do_not_lead_the_guard_away_from_it(rig):
    """Each ends on its way to the controller, a little further than the one before."""
    step_rad = 0.9 * STEP_SHARE * LIMITS.of(ARM_COLUMNS).acceleration * PERIOD_S**2
    place = rig.set_points[-1][ARM_COLUMNS]
    for k in range(250):
        point = TrajectoryRequest(ARM.joints, rig.now_ns - 5 * MS, (5 * MS,), (tuple((place + k * step_rad).tolist()),), ((0.0,) * 7,))
        rig.offer(ARM.name, point, transport_ns=20 * MS)
        rig.run(0.04)
    rig.guard.reset()
    swing = rig.swing(0.1, begins_s=0.005)
    drifted = rig.guard._controlled[ARM.name].motions.newest.positions[-1] - place
    rig.offer(ARM.name, replace(swing, positions=tuple(tuple((row + drifted).tolist()) for row in np.array(swing.positions))))
    rig.run(1.3)
    assert rig.worst <= 1.05


def test_measured_joints_that_are_not_where_the_controllers_were_sent_stop_it(rig):
    assert rig.offer(ARM.name, rig.swing(1.0, over_s=1.2))
    rig.now_ns += 1100 * MS  # the joints did not move: nobody plays what was passed on
    rig.guard.note_joints(rig.now_ns, rig.set_points[-1])
    assert not rig.guard.offer(ARM.name, rig.swing(0.1), lambda: rig.now_ns)
    assert rig.guard.breach.check is TrajectoryCheck.MEASURED


def test_a_blocked_joint_is_moved_from_where_its_controller_was_sent_and_from_elsewhere_only_after_a_reset(rig):
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.3)
    rig.off[ARM_COLUMNS[0]] = 0.2
    rig.run(0.5)
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.3)

    def from_measured():
        request = rig.swing(0.1)
        return replace(request, positions=tuple((row[0] + 0.2, *row[1:]) for row in request.positions))

    assert not rig.offer(ARM.name, from_measured())
    assert rig.guard.breach.check is TrajectoryCheck.MEASURED
    assert "l_shoulder_pitch rests 0.20 rad from where it was sent; if its controller was restarted, call guard/reset" in str(
        rig.guard.breach
    )
    rig.run(0.3)
    assert rig.worst <= 1.05
    rig.guard.reset()
    assert rig.guard.offer(ARM.name, from_measured(), lambda: rig.now_ns)


def test_a_real_step_stays_one_while_a_joint_rests_elsewhere_than_sent(rig):
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.3)
    rig.off[ARM_COLUMNS[0]] = 0.2
    rig.run(0.5)
    request = rig.swing(0.1)
    assert not rig.offer(ARM.name, replace(request, positions=moved(request.positions, -0.1)))
    assert rig.guard.breach.check is TrajectoryCheck.CONTINUITY
    assert rig.guard.latched


def test_a_reset_of_a_guard_that_is_not_stopped_changes_nothing(rig):
    """It was answered "not stopped", and forgot all the same where the controller of a blocked joint stands: its next motion was a step."""
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.off[ARM_COLUMNS[0]] = -0.2  # blocked
    rig.run(1.5)
    assert rig.guard.reset() is None
    from_measured = rig.set_points[-1][ARM_COLUMNS] + rig.off[ARM_COLUMNS]
    rows = tuple(tuple(from_measured.tolist()) for _ in range(3))
    still = tuple(tuple(np.zeros(len(from_measured)).tolist()) for _ in range(3))
    assert not rig.offer(ARM.name, rig.swing(0.0, positions=rows, velocities=still))
    assert "call guard/reset" in str(rig.guard.breach)
    stopped_by = rig.guard.breach
    assert rig.guard.reset() is stopped_by


def test_a_joint_that_rests_farther_off_than_measurements_may_be_moves_after_the_reset_that_is_named(rig):
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.3)
    rig.off[ARM_COLUMNS[0]] = 0.5
    rig.run(0.5)
    assert not rig.offer(ARM.name, rig.swing(0.1))
    assert "l_shoulder_pitch rests 0.50 rad from where it was sent; if its controller was restarted, call guard/reset" in str(
        rig.guard.breach
    )
    rig.run(0.3)
    rig.guard.reset()
    request = rig.swing(0.1)
    from_measured = tuple((row[0] + 0.5, *row[1:]) for row in request.positions)
    assert rig.guard.offer(ARM.name, replace(request, positions=from_measured), lambda: rig.now_ns)


def test_without_joint_states_nothing_passes(rig):
    rig.now_ns += NANOSECONDS
    assert not rig.offer(ARM.name, rig.swing(0.1))
    assert "no joint state" in str(rig.guard.breach)


def test_while_the_robots_time_is_unknown_nothing_passes_and_no_hold_is_sent(rig):
    assert rig.offer(ARM.name, rig.swing(0.5))
    assert not rig.guard.offer(ARM.name, rig.swing(0.1), lambda: None)
    assert rig.guard.breach.check is TrajectoryCheck.CLOCK
    assert list(rig.guard.holds(lambda: None)) == []


def test_a_guard_that_starts_while_the_robot_moves_waits_until_it_rests(rig):
    assert rig.offer(ARM.name, rig.swing(1.0, over_s=1.2))
    rig.run(0.7)
    rig.guard = TrajectoryGuard(GR1, LIMITS, Tolerances())
    rig.run(0.3)
    assert not rig.offer(ARM.name, rig.swing(0.1))
    assert "although nothing passed on moves it" in str(rig.guard.breach)
    rig.run(1.5)
    assert rig.offer(ARM.name, rig.swing(-0.1))


def test_a_joint_found_outside_its_limits_may_come_back_and_go_no_further():
    home = GR1.home_position.copy()
    home[ARM_COLUMNS[0]] = 3.1  # limit 3.0

    def outside(delta):
        guard = TrajectoryGuard(GR1, LIMITS, Tolerances())
        for k in range(30):
            guard.note_joints(START_NS + k * PERIOD_NS, home)
        now_ns = START_NS + 29 * PERIOD_NS
        rows = tuple(tuple((home[ARM_COLUMNS] + np.eye(7)[0] * share).tolist()) for share in (0.0, delta))
        request = TrajectoryRequest(ARM.joints, now_ns, (100 * MS, NANOSECONDS), rows, ((0.0,) * 7,) * 2)
        return guard.offer(ARM.name, request, lambda: now_ns)

    assert outside(-0.3)
    assert not outside(0.1)


@pytest.mark.parametrize("strategy", ["replace", "ensemble", "blend"])
def test_all_that_system1_sends_passes(strategy):
    """Chunks that disagree, targets beyond limits, latencies and holds: none of it may trip the guard."""
    rng, rig = np.random.default_rng(1), Rig()
    plan = MotionPlan(GR1.joint_slice, 0.05, LIMITS, 0.05, strategy)

    class Outlet:
        def now_ns(self):
            return rig.now_ns

        def prepare(self, motion, without=()):
            def publish():
                for name, request in rig.controllers.requests(motion).items():
                    assert rig.offer(name, request), rig.guard.breach

            return publish

    for k in range(60):
        stamp_ns = rig.now_ns
        measured = rig.set_points[-1].copy()
        times_s = (stamp_ns - START_NS) / NANOSECONDS + 0.05 * np.arange(1, 17)[:, None]
        joints = GR1.home_position + 0.6 * np.sin(1.5 * times_s + np.arange(29)) + rng.normal(0, 0.05, 29) + rng.normal(0, 0.01, (16, 29))
        rig.run(rng.integers(3, 25) * 0.01)
        plan.committed(stamp_ns)
        if k % 9 == 8:
            plan.hold(Outlet())
        elif rig.now_ns >= plan._starts_ns:
            plan.follow(np.concatenate([np.zeros((16, 18)), joints], axis=1), stamp_ns, measured, Outlet())
    assert rig.guard.refused.total() == 0
    assert rig.guard.passed > 200
    assert rig.worst <= 1.05
