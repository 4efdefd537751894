"""The first motion of a System-1, and the first after somebody else had the controllers: it begins where they stand.

pytest test/unit/control/test_first_motion.py
"""

import numpy as np
import pytest

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.joint_limits import Guard, Margins
from dial_core.control.motion_plan import MotionPlan
from dial_core.control.send_conditions import SpliceMissedError
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")
HOME = GR1.home_position
SLOW = Guard.for_embodiment(GR1, Margins(velocity=0.1, acceleration=0.1))
COLUMNS = {c.name: GR1.indices(c.joints).tolist() for c in GR1.controllers}
ARMS = [j for j, joint in enumerate(GR1.joints) if joint.group.endswith("arm")]
GRIPPING = [j for j, name in enumerate(GR1.joint_names) if name.startswith("R_") and "thumb" not in name]
MS = 1_000_000


class StandingRobot:
    """Controllers that stand at `references` and report it, if they report; what is sent arrives 10 ms later."""

    def __init__(self, references, reporting=True, guard=SLOW):
        self.time_ns = 10_000 * MS
        self.controllers = EmulatedControllers(GR1, 10 * MS)
        self.controllers.hold(references)
        self.set_points = [np.array(references)] * 2
        self.execution = ExecutedMotion(COLUMNS, GR1.joint_names, 0.3, GR1.fingers)
        self.plan = MotionPlan(GR1.joint_slice, 0.05, guard, 0.05, "replace", self.execution)
        self._reporting, self._under_way = reporting, []
        self.run(100)

    def run(self, milliseconds, measured=None):
        for _ in range(milliseconds // 10):
            self.time_ns += 10 * MS
            self.set_points.append(self.controllers.sample(self.time_ns))
            for requests in self._under_way:
                self.controllers.accept(requests, self.time_ns)
            self._under_way = []
            for name, (origin_ns, positions, _) in self.controllers.references().items() if self._reporting else ():
                self.execution.note_reference(name, self.time_ns, origin_ns, positions)
            self.execution.note_measured(self.plan.running, self.time_ns, self.set_points[-1] if measured is None else measured)

    def now_ns(self):
        return self.time_ns

    def prepare(self, motion, without=()):
        return lambda: self._under_way.append(self.controllers.requests(motion))

    def follow(self, target, measured, stamp_ns=None):
        """A chunk to `target` (J,) [rad] of an observation in which the joints were `measured`, at `stamp_ns`; None: 50 ms ago."""
        if stamp_ns is None:
            stamp_ns = self.time_ns
            self.run(50, measured)
        return self.plan.follow(np.tile(np.concatenate([np.zeros(18), target]), (16, 1)), stamp_ns, measured, self)

    @property
    def worst(self):
        """The largest share of a velocity or acceleration limit in the set-points."""
        velocity = np.diff(self.set_points, axis=0) / 0.01
        acceleration = np.diff(velocity, axis=0) / 0.01
        return max(np.abs(velocity / SLOW.velocity).max(), np.abs(acceleration / SLOW.acceleration).max())


def test_no_motion_begins_where_joint_states_say_that_the_robot_is_if_its_controllers_report_to_stand_elsewhere():
    """A joint_state_publisher beside the robot published zeros: the arms, which stood at -1.68 rad, moved at 30 times their limit."""
    robot, zeros = StandingRobot(HOME), np.clip(np.zeros(29), GR1.lower, GR1.upper)
    why = r"l_elbow_pitch is measured at 0\.00 rad, but left_arm_controller reports that it commands -1\.68 rad \(limit 0\.30 rad\)"
    with pytest.raises(SpliceMissedError, match=why):
        robot.follow(zeros, zeros)
    robot.run(1200, zeros)
    (left, right) = robot.execution.diverged(None, robot.time_ns).values()
    assert left.startswith("l_elbow_pitch is measured at 0.00 rad")
    assert right.startswith("r_elbow_pitch")
    assert np.ptp(robot.set_points, axis=0).max() == 0


def test_a_servos_error_is_no_part_of_the_first_motion_where_controllers_report():
    robot = StandingRobot(HOME)
    robot.follow(HOME, HOME + 0.2)
    robot.run(1500)
    assert np.ptp(robot.set_points, axis=0).max() < 1e-6


def test_the_first_motion_keeps_the_grip_of_fingers_that_are_blocked():
    """Taken from where the fingers were measured, the reference fell from 3.0 to 1.5 rad, and the object with it."""
    gripping, blocked = HOME.copy(), HOME.copy()
    gripping[GRIPPING], blocked[GRIPPING] = 3.0, 1.5
    robot = StandingRobot(gripping)
    robot.follow(gripping, blocked)
    robot.run(3000, blocked)
    assert np.array(robot.set_points)[:, GRIPPING].min() > 2.999
    assert robot.execution.diverged(robot.plan.running, robot.time_ns) == {}


@pytest.mark.parametrize("reporting", [True, False])
def test_after_somebody_else_moved_the_robot_while_system1_was_inactive_it_starts_where_it_stands(reporting):
    """It sprang back by 0.09 rad at 3.5 times its velocity limit: so much was taken for the servos' error."""
    robot = StandingRobot(HOME, reporting)
    robot.follow(HOME, HOME)
    robot.run(2000)
    robot.plan.hold(robot)
    robot.run(3000)
    jogged = HOME.copy()
    jogged[ARMS] += 0.09
    robot.controllers.hold(jogged)
    robot.run(500)
    robot.set_points = [jogged] * 3
    robot.plan.release(robot.time_ns)
    assert robot.plan.hold(robot) is None, "a stop sends nothing: it would spring back too"
    robot.follow(jogged, jogged)
    robot.run(2000)
    assert np.abs(np.array(robot.set_points) - jogged).max() < 1e-6


def test_a_reactivation_while_the_robot_still_decelerates_continues_that():
    robot = StandingRobot(HOME)
    robot.follow(HOME + np.where(np.isin(np.arange(29), ARMS), 0.1, 0.0), HOME)
    robot.run(600)
    robot.plan.hold(robot)
    robot.plan.release(robot.time_ns)
    assert robot.plan.running is not None
    robot.follow(HOME, robot.set_points[-1])
    robot.run(2000)
    assert robot.plan.running is not None
    assert robot.worst <= 1.02


def test_after_a_hold_fingers_that_are_blocked_keep_their_grip_where_their_controller_does_not_report():
    """Taken from where they were measured, the set-points went back to 1.5 rad within the soft start, at 2.9 times their limit."""
    gripping, blocked = HOME.copy(), HOME.copy()
    gripping[GRIPPING], blocked[GRIPPING] = 3.0, 1.5
    robot = StandingRobot(gripping, reporting=False)
    robot.follow(gripping, gripping)
    robot.run(500, blocked)
    robot.plan.hold(robot)
    robot.run(1500, blocked)
    robot.follow(gripping, blocked)
    robot.run(500, blocked)
    assert np.array(robot.set_points)[:, GRIPPING].min() > 2.999


def test_an_observation_from_before_the_robot_came_to_rest_is_no_sign_of_cut_motors():
    """It was compared with what controllers report now: a healthy robot was said to be 0.33 rad from there, and the chunk was refused."""
    robot, target = StandingRobot(HOME, guard=Guard.for_embodiment(GR1)), HOME.copy()
    target[0] -= 2.0
    robot.follow(target, HOME)
    robot.run(600)
    stamp_ns, observed = robot.time_ns, robot.set_points[-1]
    robot.plan.hold(robot)
    robot.run(450)
    resting = robot.set_points[-1]
    assert np.abs(resting - observed).max() > 0.31
    robot.follow(target, observed, stamp_ns)
    robot.run(1500)
    assert robot.set_points[-1][0] < resting[0] - 0.1
