"""Joints far outside their limits are named with what to do; a servo's error, a bent finger and a single message are not.

pytest test/unit/observation/test_joint_range.py
"""

import numpy as np
import pytest

from dial_core.observation.joint_range import FINGER_OUTSIDE_RAD, OUTSIDE_RAD, JointRange
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")
MS = 1_000_000


def complaint(offsets, states=8):
    """Of joint states every 20 ms in which joints are so far above their upper limits."""
    joints, positions = JointRange(GR1), GR1.home_position.copy()
    for name, beyond_rad in offsets.items():
        j = GR1.joint_names.index(name)
        positions[j] = GR1.upper[j] + beyond_rad
    for k in range(states):
        joints.note(k * 20 * MS, positions)
    return joints.complaint


def test_a_joint_whose_sign_is_wrong_is_named_with_its_value_its_limits_and_what_to_do():
    """The arm at -1 rad with limits from 0 to 3 was led to 0 at 3 rad/s, whatever the model asked for."""
    joints, positions = JointRange(GR1), GR1.home_position.copy()
    positions[1] = -1.0
    joints.note(0, positions)
    assert joints.complaint == "", "one joint state may be a second publisher's"
    joints.note(100 * MS, positions)
    assert joints.complaint == (
        "joints far outside their limits: l_shoulder_roll at -1.00 rad (limits 0.00 to 3.00, tolerance 0.1); check their signs, zeros and "
        "limits in the embodiment's YAML, or bring them inside by the robot's own means"
    )
    joints.note(110 * MS, GR1.home_position)
    assert joints.complaint == ""


@pytest.mark.parametrize(
    ("offsets", "named"),
    [
        ({"l_elbow_pitch": 0.9 * OUTSIDE_RAD, "R_index_proximal_joint": 0.9 * FINGER_OUTSIDE_RAD}, []),
        ({"l_elbow_pitch": 1.1 * OUTSIDE_RAD, "R_index_proximal_joint": 0.9 * FINGER_OUTSIDE_RAD}, ["l_elbow_pitch"]),
        (
            {"l_elbow_pitch": 1.1 * OUTSIDE_RAD, "R_index_proximal_joint": 1.1 * FINGER_OUTSIDE_RAD},
            ["l_elbow_pitch", "R_index_proximal_joint"],
        ),
    ],
)
def test_what_servos_leave_and_grasps_bend_is_tolerated(offsets, named):
    why = complaint(offsets)
    assert [name for name in GR1.joint_names if name in why] == named


def test_two_publishers_that_alternate_and_a_clock_that_goes_back_do_not_count_as_lasting():
    joints, positions = JointRange(GR1), GR1.home_position.copy()
    positions[1] = -1.0
    for k in range(50):
        joints.note(k * 10 * MS, positions if k % 2 else GR1.home_position)
        assert joints.complaint == ""
    joints.note(500 * MS, positions)
    joints.note(20 * MS, positions)
    assert joints.complaint == ""


def test_joints_at_home_are_inside():
    assert complaint({}) == ""
    assert np.all(GR1.home_position <= GR1.upper + OUTSIDE_RAD)


def test_limits_that_a_urdf_narrows_are_compared_at_once_and_named():
    """A joint at 2.5 rad whose URDF ends at 1.5 rad gave no complaint, and the first chunk led it back at up to its highest speed."""
    joints, positions = JointRange(GR1), GR1.home_position.copy()
    positions[0] = 2.5
    joints.note(0, positions)
    joints.note(200 * MS, positions)
    assert joints.complaint == ""
    upper = np.where(np.arange(len(GR1.joint_names)) == 0, 1.5, GR1.upper)
    joints.use_limits(GR1.lower, upper)
    assert "l_shoulder_pitch at 2.50 rad (limits -3.00 to 1.50, tolerance 0.1)" in joints.complaint
    assert "in the embodiment's YAML and robot_description" in joints.complaint
    joints.note(210 * MS, GR1.home_position)
    assert joints.complaint == ""
    joints.note(220 * MS, positions)
    assert joints.complaint == "", "one joint state may be a second publisher's"


def test_limits_that_come_before_the_first_joint_state_are_kept():
    joints, positions = JointRange(GR1), GR1.home_position.copy()
    joints.use_limits(GR1.lower, positions - 1.0)
    assert joints.complaint == ""
    joints.note(10 * MS, positions)
    assert joints.complaint == ""
    joints.note(110 * MS, positions)
    assert "l_shoulder_pitch" in joints.complaint
