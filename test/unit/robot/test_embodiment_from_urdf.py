"""A robot's YAML from its URDF: limits to the inside, vector order by group, wrist poses as the URDF's own transforms say.

pytest test/unit/core/test_embodiment_from_urdf.py
"""

import math

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from dial_core.cli import app
from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment, load_embodiment
from dial_core.robot.embodiment_from_urdf import embodiment_from_urdf, to_yaml
from dial_core.robot.kinematics import ForwardKinematics


def arm(side: str, y: float) -> str:
    return f"""
  <link name="{side}_upper"><inertial><mass value="1.5"/></inertial></link>
  <link name="{side}_wrist"/>
  <joint name="{side}_shoulder" type="revolute">
    <origin xyz="0 {y} 0.5" rpy="0 0 1.5707963267948966"/><parent link="pelvis"/><child link="{side}_upper"/>
    <axis xyz="0 1 0"/><limit lower="-1.23456" upper="2.34567" velocity="2.0" effort="1"/>
  </joint>
  <joint name="{side}_fixed" type="fixed">
    <origin xyz="0 0 -0.3"/><parent link="{side}_upper"/><child link="{side}_wrist"/>
  </joint>"""


URDF = f"""<robot name="two_arms">
  <link name="floor"/><link name="pelvis"/><link name="foot"/>
  <joint name="leg" type="revolute"><parent link="floor"/><child link="pelvis"/><limit lower="-1" upper="1" velocity="9"/></joint>
  {arm("right", -0.2)}{arm("left", 0.2)}
</robot>"""
GROUPS = {"left_arm": "left_.*", "right_arm": "right_.*"}


def made(**changes):
    arguments = {"text": URDF, "name": "two_arms", "base": "pelvis", "wrists": ("left_wrist", "right_wrist"), "groups": GROUPS}
    return embodiment_from_urdf(**(arguments | changes))


def test_joints_come_in_the_order_of_the_groups_with_limits_to_the_inside():
    robot = validate(Embodiment, made(), "test")
    assert robot.joint_names == ("left_shoulder", "right_shoulder")
    assert (robot.lower[0], robot.upper[0]) == (-1.2345, 2.3456)
    assert robot.velocity[0] == 2.0, "the motor is slower than our limit"
    assert [controller.name for controller in robot.controllers] == ["left_arm_controller", "right_arm_controller"]


def test_wrist_poses_are_those_of_the_urdf():
    robot = validate(Embodiment, made(), "test")
    # The base of the shoulder is turned by 90 degrees about the vertical: its y axis points along -x of the pelvis. Raised by
    # a, the arm of 0.3 m swings about that axis: from straight down (-z) towards -y for positive a.
    raised = 0.7
    poses = ForwardKinematics(robot).wrist_poses(np.array([raised, 0.0]))
    np.testing.assert_allclose(poses[:3], [0.0, 0.2 - 0.3 * math.sin(raised), 0.5 - 0.3 * math.cos(raised)], atol=1e-5)
    np.testing.assert_allclose(poses[9:12], [0.0, -0.2, 0.2], atol=1e-5)


def test_the_yaml_reads_back_as_it_was(tmp_path):
    values = made()
    assert yaml.safe_load(to_yaml(values, "two arms")) == values


def test_what_is_wrong_is_named_with_the_choices():
    with pytest.raises(DialError, match=r"no link 'torso'; its links: .*pelvis"):
        made(base="torso")
    with pytest.raises(DialError, match=r"group 'head': no joint matches 'head.*'; movable joints: .*left_shoulder"):
        made(groups=GROUPS | {"head": "head.*"})
    with pytest.raises(DialError, match="does not hang below base 'left_upper'"):
        made(base="left_upper")
    with pytest.raises(DialError, match="XML entities"):
        made(text='<!DOCTYPE r [<!ENTITY a "b">]>' + URDF)
    with pytest.raises(DialError, match="not the xacro"):
        made(text="<robot")


def test_the_command_writes_a_file_that_loads_and_never_overwrites(tmp_path):
    (tmp_path / "robot.urdf").write_text(URDF)
    words = ["embodiment", str(tmp_path / "robot.urdf"), str(tmp_path / "two_arms.yaml")]
    words += ["--left-wrist", "left_wrist", "--right-wrist", "right_wrist", "--group", "left_arm=left_.*", "--group", "right_arm=right_.*"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert load_embodiment(str(tmp_path / "two_arms.yaml")).state_dim == 20
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, DialError)
    assert "exists already" in str(again.exception)


@pytest.mark.parametrize(("name", "width"), [("gr1", 47), ("iron", 50), ("tabletop", 47), ("unitree_g1", 49)])
def test_shipped_embodiments_have_the_width_of_their_vectors_and_symmetric_arms(name, width):
    robot = load_embodiment(name)
    assert robot.state_dim == width
    assert np.all((robot.lower <= robot.home_position) & (robot.home_position <= robot.upper))
    left, right = ForwardKinematics(robot).wrist_poses(robot.home_position).reshape(2, 9)
    np.testing.assert_allclose(left[:3] * [1, -1, 1], right[:3], atol=2e-3)
