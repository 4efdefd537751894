"""Where a guard takes a controller to stand that was restarted, blocked or moved by somebody else, and what a reset changes.

pytest test/unit/control/test_guarded_controller.py
"""

import numpy as np
import pytest

from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.motion_start import MOVED_RAD
from dial_core.control.possible_motions import APPROACH_RAD
from dial_core.control.trajectory_checks import Tolerances, TrajectoryCheck
from dial_core.control.trajectory_guard import TrajectoryGuard

from .guard_rig import ARM, ARM_COLUMNS, GR1, LIMITS, MS, PERIOD_NS, START_NS, Rig

HOME = GR1.home_position
HAND = next(c for c in GR1.controllers if c.name == "right_hand_controller")
HAND_COLUMNS = GR1.indices(HAND.joints)


def away(*offs, columns=ARM_COLUMNS):
    """The home position with the first joints of `columns` so far away [rad]."""
    place = HOME.copy()
    place[columns[: len(offs)]] += offs
    return place


class RestingRobot:
    """A guard beside a robot at rest, whose controllers report where they stand, or not."""

    def __init__(self, reporting):
        self.guard, self.now_ns, self._reporting = TrajectoryGuard(GR1, LIMITS, Tolerances()), START_NS, reporting

    def rest(self, measured, reference=None, periods=100):
        """Half a second more than a trajectory takes at these measured joints; `reference`: where controllers report to stand."""
        for _ in range(periods):
            self.now_ns += PERIOD_NS
            self.guard.note_joints(self.now_ns, measured)
            for controller in GR1.controllers if self._reporting else ():
                if not self.guard.knows(controller.name):
                    place = measured if reference is None else reference
                    self.guard.note_reference(controller.name, self.now_ns, place[GR1.indices(controller.joints)])

    def offer(self, place, controller=ARM, begins_ns=200 * MS, **changes):
        """Whether a trajectory passes that stands at `place`, from `begins_ns` after now on."""
        row = tuple(place[GR1.indices(controller.joints)].tolist())
        points = {"positions": (row, row), "velocities": ((0.0,) * len(row),) * 2} | changes
        request = TrajectoryRequest(controller.joints, self.now_ns, (begins_ns, 500 * MS), **points)
        return self.guard.offer(controller.name, request, lambda: self.now_ns)

    def stop_and_reset(self):
        """A stop for a wrong trajectory, and its reset."""
        assert not self.offer(HOME, velocities=())
        assert self.guard.reset().check is TrajectoryCheck.FORM


def sent(place, reporting, controller=ARM):
    robot = RestingRobot(reporting)
    robot.rest(place)
    assert robot.offer(place, controller)
    robot.rest(place)
    return robot


@pytest.mark.parametrize("off", [0.07, 0.15, 0.5])
def test_a_stop_does_not_move_a_controller_that_was_restarted_elsewhere(off):
    """The guard's hold led it back to where it had been sent, in one period."""
    rig = Rig()
    assert rig.offer(ARM.name, rig.swing(0.1))
    rig.run(1.5)
    restarted = rig.set_points[-1] + off * (np.arange(29) == ARM_COLUMNS[0])
    rig.controllers.hold(restarted)
    rig.set_points = [restarted] * 3
    rig.run(0.5)
    rig.stop()
    rig.run(0.5)
    np.testing.assert_array_equal(rig.set_points[-1], restarted)
    assert rig.worst == 0.0


def test_a_trajectory_that_does_not_know_of_a_stop_yet_is_late_for_a_controller_that_rested_too():
    """It continues the part that was refused with the others."""
    robot = sent(HOME, reporting=False)
    robot.guard.stop(TrajectoryCheck.SOURCE, "a second publisher")
    assert list(robot.guard.holds(lambda: robot.now_ns)) == []
    robot.rest(HOME, periods=20)
    assert not robot.offer(away(0.2), begins_ns=0)
    assert robot.guard.refused == {TrajectoryCheck.LATE: 1}


@pytest.mark.parametrize("reporting", [True, False])
@pytest.mark.parametrize("off", [0.07, 0.15, 0.25])
def test_a_controller_that_was_restarted_elsewhere_moves_after_a_reset(off, reporting):
    """At 0.07 rad the guard refused `continuity` for ever: a reset saw no joint elsewhere, and an approach is 0.05 rad at most."""
    assert APPROACH_RAD < 0.07 < MOVED_RAD
    robot = sent(HOME, reporting)
    robot.rest(away(off))
    assert not robot.offer(away(off))
    assert f"l_shoulder_pitch rests {off:.2f} rad from where it was sent; if its controller was restarted" in str(robot.guard.breach)
    assert robot.guard.breach.check is TrajectoryCheck.MEASURED
    robot.guard.reset()
    robot.rest(away(off), periods=30)
    assert robot.offer(away(off))


def test_where_it_reports_a_controller_moves_on_after_a_reset_whatever_the_servos_error_is():
    """Jogged by 0.1 rad, of which 0.06 rad are measured: no trajectory begins at the measured joints."""
    robot = sent(HOME, reporting=True)
    robot.rest(away(0.06))
    assert not robot.offer(away(0.13))
    assert robot.guard.breach.check is TrajectoryCheck.CONTINUITY
    robot.guard.reset()
    robot.rest(away(0.06), away(0.13), periods=30)
    assert robot.offer(away(0.13))


@pytest.mark.parametrize("reporting", [True, False])
def test_after_a_reset_the_servos_error_is_no_other_place(reporting):
    """0.07 rad below where it was sent, which is where System-1 continues."""
    robot = sent(HOME, reporting)
    robot.rest(away(-0.07))
    robot.stop_and_reset()
    robot.rest(away(-0.07), HOME, periods=30)
    assert robot.offer(HOME)


def test_a_reset_takes_only_the_joints_that_were_moved_to_stand_where_they_are_measured():
    """As System-1 does: one joint was moved by 0.2 rad, the servo of another holds it 0.07 rad below its command."""
    robot = sent(HOME, reporting=False)
    robot.rest(away(0.2, -0.07))
    assert not robot.offer(away(0.2))
    assert "l_shoulder_pitch rests 0.20 rad from where it was sent" in str(robot.guard.breach)
    robot.guard.reset()
    assert not robot.offer(away(0.2, -0.2))
    robot.guard.reset()
    assert robot.offer(away(0.2))


@pytest.mark.parametrize("resets", [0, 1, 3])
def test_fingers_that_a_grip_blocks_stand_where_they_were_sent_after_resets_too(resets):
    gripping, blocked = away(*[1.0] * 4, columns=HAND_COLUMNS), away(*[0.2] * 4, columns=HAND_COLUMNS)
    robot = sent(gripping, False, HAND)
    robot.rest(blocked)
    for _ in range(resets):
        robot.stop_and_reset()
    assert robot.offer(gripping, HAND)


def test_a_commander_that_starts_again_at_fingers_that_a_grip_blocks_is_passed_only_after_the_reset_that_it_asks_for():
    gripping, blocked = away(*[1.0] * 4, columns=HAND_COLUMNS), away(*[0.2] * 4, columns=HAND_COLUMNS)
    robot = sent(gripping, False, HAND)
    robot.rest(blocked)
    assert not robot.offer(blocked, HAND)
    assert "rests 0.80 rad from where it was sent; if its controller was restarted, call guard/reset" in str(robot.guard.breach)
    robot.guard.reset()
    assert robot.offer(blocked, HAND)


def test_a_commander_that_does_not_read_the_reports_is_named_and_passes_once_it_does():
    """A servo's error of 0.07 rad latched `continuity` on the first trajectory, and every reset was followed by the same."""
    robot = RestingRobot(True)
    robot.rest(away(0.07), HOME)
    assert not robot.offer(away(0.07))
    assert robot.guard.breach.check is TrajectoryCheck.MEASURED
    assert "left_arm_controller reports that it commands 0.24 rad to l_shoulder_pitch (measured 0.31 rad)" in str(robot.guard.breach)
    assert "the commander does not read its reports (control_msgs, same distribution)" in str(robot.guard.breach)
    robot.rest(away(0.07), HOME, periods=30)
    assert robot.offer(HOME)


def test_a_first_trajectory_that_begins_neither_where_it_is_measured_nor_reported_is_a_step():
    robot = RestingRobot(True)
    robot.rest(away(0.07), HOME)
    assert not robot.offer(away(0.07, 0.2))
    assert robot.guard.breach.check is TrajectoryCheck.CONTINUITY


def test_a_controller_that_reports_to_stand_far_from_its_joints_is_passed_nothing_by_a_reset():
    robot = sent(HOME, reporting=True)
    robot.rest(away(0.4))
    assert not robot.offer(away(0.4))
    robot.guard.reset()
    robot.rest(away(0.4), HOME, periods=30)
    for place in (HOME, away(0.4)):
        assert not robot.offer(place)
        assert "left_arm_controller reports that it commands" in str(robot.guard.breach)
        robot.rest(away(0.4), HOME, periods=30)
    robot.rest(away(0.4), periods=60)  # restarted
    assert robot.offer(away(0.4))


def test_after_a_reset_a_report_from_before_the_motion_says_nothing():
    """Where it stands is shown by the next ones."""
    robot = RestingRobot(True)
    robot.rest(HOME)
    assert robot.offer(HOME)
    robot.rest(HOME, periods=60)
    robot.stop_and_reset()
    assert not robot.offer(HOME)
    assert "left_arm_controller reports that it moves" in str(robot.guard.breach)
    robot.rest(HOME, periods=2)
    assert robot.offer(HOME)
