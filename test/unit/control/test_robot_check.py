"""A robot that does not match its embodiment is reported by controller and joint, from its joint states or its URDF."""

import numpy as np
import pytest

from dial_core.control.joint_limits import Guard, Margins
from dial_core.control.robot_check import limits_beyond, missing_from_description, missing_from_states
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.urdf import JointLimits, RobotDescription, read_description
from dial_core.sim.robot_urdf import robot_urdf

GR1 = load_embodiment("gr1")
GUARD = Guard.for_embodiment(GR1)


def described(**changes) -> RobotDescription:
    """A URDF with the embodiment's own limits; `changes`: joint -> its limits, None without it, or a text: why nothing moves it."""
    limits = {joint.name: JointLimits(joint.lower, joint.upper, joint.velocity) for joint in GR1.joints} | changes
    return RobotDescription(
        {name: each for name, each in limits.items() if isinstance(each, JointLimits)},
        {name: each for name, each in limits.items() if isinstance(each, str)},
    )


def test_all_joints_in_any_order_beside_others_fit():
    assert missing_from_states(GR1, [*reversed(GR1.joint_names), "left_knee"]) == ""


def test_what_joint_states_lack_is_reported_by_controller_beside_the_surplus_names():
    renamed = [name.replace("l_elbow_pitch", "left_elbow") for name in GR1.joint_names if name != "torso_waist_yaw"]
    misfit = missing_from_states(GR1, renamed)
    assert misfit.startswith("joint_states lack left_arm_controller (l_elbow_pitch), waist_controller (torso_waist_yaw); ")
    assert "their other joints: left_elbow;" in misfit
    everything = missing_from_states(GR1, [])
    assert all(name in everything for name in (*GR1.joint_names, *(controller.name for controller in GR1.controllers), "none"))


def test_a_joint_that_the_description_lacks_or_does_not_let_move_is_reported_with_the_reason():
    assert missing_from_description(GR1, described(left_knee=JointLimits(-1, 1, 1))) == ""
    robot = described(l_elbow_pitch=None, left_elbow=JointLimits(-1, 1, 1), r_elbow_pitch="fixed", torso_waist_yaw="follows left_hip")
    assert missing_from_description(GR1, robot) == (
        "robot_description lacks left_arm_controller (l_elbow_pitch); its other joints: left_elbow; robot_description has joints that no "
        "controller can move: right_arm_controller (r_elbow_pitch: fixed), waist_controller (torso_waist_yaw: follows left_hip)"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lower": 0.1}, "rad, the robot's 0.100 to"),
        ({"upper": -0.5}, "to -0.500"),
        ({"velocity": 0.5}, "rad/s, the robot's 0.500"),
        ({"acceleration": 5.0}, "25.000 rad/s^2, the robot's 5.000"),
    ],
)
def test_limits_in_use_that_are_wider_than_the_robots_are_reported(change, words):
    joint = GR1.joints[GR1.joint_names.index("l_elbow_pitch")]
    own = {"lower": joint.lower, "upper": joint.upper, "velocity": joint.velocity} | change
    misfit = limits_beyond(GR1, GUARD, described(l_elbow_pitch=JointLimits(**own)))
    assert misfit.startswith("limits wider than robot_description's: left_arm_controller (l_elbow_pitch: ")
    assert words in misfit
    assert "set limits_from to robot_description" in misfit


def test_limits_that_margins_draw_inside_the_robots_fit():
    slower = {
        joint.name: JointLimits(joint.lower + 0.05, joint.upper - 0.05, joint.velocity / 2, joint.acceleration / 5) for joint in GR1.joints
    }
    assert limits_beyond(GR1, GUARD, described(**slower))
    assert limits_beyond(GR1, Guard.for_embodiment(GR1, Margins(position=0.05, velocity=0.5, acceleration=0.2)), described(**slower)) == ""
    assert limits_beyond(GR1, Guard.for_embodiment(GR1, urdf=slower), described(**slower)) == ""


def test_rounded_and_endless_limits_fit():
    rounded = {joint.name: JointLimits(round(joint.lower, 3), round(joint.upper, 3), np.inf) for joint in GR1.joints}
    assert limits_beyond(GR1, GUARD, described(**rounded)) == ""


def test_our_own_urdf_fits_its_embodiment():
    robot = read_description(robot_urdf(GR1))
    assert missing_from_description(GR1, robot) == ""
    assert limits_beyond(GR1, GUARD, robot) == ""
