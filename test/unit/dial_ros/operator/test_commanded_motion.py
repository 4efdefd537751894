"""What is drawn of the controllers' trajectories: past, committed, new, the splice point and the shares of limits.

pytest test/unit/dial_ros/operator/test_commanded_motion.py
"""

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.control.motion import NANOSECONDS
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.messages import to_duration, to_time
from dial_ros.operator.commanded_motion import CommandedMotion

ROBOT = load_embodiment("gr1")
ARM = next(c for c in ROBOT.controllers if "right_arm" in c.name)
JOINT = ARM.joints[0]


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def trajectory(origin_s: float, offsets: list[tuple[float, float]], velocity: float = 0.0) -> JointTrajectory:
    """All joints of the arm at the same (offset [s], position [rad]) points."""
    message = JointTrajectory(joint_names=list(ARM.joints))
    message.header.stamp = to_time(at(origin_s))
    count = len(ARM.joints)
    message.points = [
        JointTrajectoryPoint(positions=[q] * count, velocities=[velocity] * count, time_from_start=to_duration(t)) for t, q in offsets
    ]
    return message


@pytest.fixture
def motion():
    return CommandedMotion(ROBOT)


def test_the_splice_point_lies_where_the_new_trajectory_leaves_the_one_before(motion):
    motion.note(ARM.name, trajectory(10.0, [(0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (0.3, 0.0), (0.6, 0.0)]))
    motion.note(ARM.name, trajectory(10.1, [(0.0, 0.0), (0.1, 0.0), (0.2, 0.3), (0.3, 0.4)]))
    plan = motion.plan(JOINT, at(10.15))
    assert plan.splice_s == pytest.approx(10.2)
    assert [t for t, _ in plan.committed] == pytest.approx([10.15, 10.2, 10.2])
    assert plan.new[-1] == pytest.approx((10.4, 0.4))
    assert plan.replaced[-1] == pytest.approx((10.6, 0.0))


def test_a_first_trajectory_has_no_splice_and_another_controllers_joint_no_plan(motion):
    motion.note(ARM.name, trajectory(1.0, [(0.1, 0.1), (0.2, 0.2)]))
    plan = motion.plan(JOINT, at(1.0))
    assert (plan.splice_s, plan.committed) == (None, [])
    assert plan.new[-1] == pytest.approx((1.2, 0.2))
    other = next(c for c in ROBOT.controllers if c is not ARM).joints[0]
    assert motion.plan(other, at(1.0)).new == []


def test_the_past_is_what_was_commanded_and_ends_when_the_clock_goes_back(motion):
    motion.note(ARM.name, trajectory(1.0, [(0.0, 0.0), (1.0, 1.0)]))
    for now_s in (1.0, 1.5, 2.0):
        motion.advance(at(now_s))
    past = motion.plan(JOINT, at(2.0)).past
    assert [t for t, _ in past] == pytest.approx([1.0, 1.5, 2.0])
    assert past[1][1] == pytest.approx(0.5)
    motion.advance(at(0.5))
    assert [t for t, _ in motion.plan(JOINT, at(0.5)).past] == pytest.approx([0.5])
    motion.note(ARM.name, trajectory(-9.0 + 9.1, [(0.0, 0.0)]))  # a new clock: what was sent before has no meaning
    assert motion.plan(JOINT, at(0.2)).splice_s is None


def test_shares_of_limits_count_what_is_still_ahead(motion):
    index = ROBOT.indices([JOINT])[0]
    half, middle = (ROBOT.upper[index] - ROBOT.lower[index]) / 2, (ROBOT.upper[index] + ROBOT.lower[index]) / 2
    speed = 0.5 * ROBOT.velocity[index]
    motion.note(ARM.name, trajectory(0.0, [(0.0, middle + half), (1.0, middle), (2.0, middle + 0.25 * half)], speed))
    shares = motion.shares(ROBOT, at(1.5))
    assert shares["position"][index] == pytest.approx(0.25)
    assert shares["velocity"][index] == pytest.approx(0.5)
    assert shares["acceleration"][index] == pytest.approx(0.0)
    assert motion.shares(ROBOT, at(0.5))["position"][index] == pytest.approx(1.0)  # between the first two knots
    other = next(c for c in ROBOT.controllers if c is not ARM).joints[0]
    assert shares["velocity"][ROBOT.indices([other])[0]] == 0.0
    assert CommandedMotion(ROBOT).shares(ROBOT, 0) == {}


@pytest.mark.parametrize("flaw", ["no points", "foreign joints", "short", "not finite", "backwards"])
def test_what_is_no_motion_of_the_controllers_joints_is_ignored(motion, flaw):
    message = trajectory(0.0, [(0.1, 0.1), (0.2, 0.2)])
    if flaw == "no points":
        message.points = []
    elif flaw == "foreign joints":
        message.joint_names = [f"x{name}" for name in message.joint_names]
    elif flaw == "short":
        message.points[1].positions = [0.0]
    elif flaw == "not finite":
        message.points[1].positions = [float("nan")] * len(ARM.joints)
    else:
        message.points[1].time_from_start = to_duration(0.0)
    motion.note(ARM.name, message)
    assert motion.end_ns is None
    assert motion.target(0) is None


def test_a_trajectory_without_velocities_is_drawn_too(motion):
    message = trajectory(0.0, [(0.1, 0.1), (0.2, 0.2)])
    for point in message.points:
        point.velocities = []
    motion.note(ARM.name, message)
    target = motion.target(at(5.0))
    assert np.isnan(target).sum() == len(ROBOT.joints) - len(ARM.joints)
    assert target[ROBOT.indices([JOINT])[0]] == pytest.approx(0.2)
