"""A robot's YAML from its URDF: limits to the inside, vector order by group, wrist poses as the URDF's own transforms say.

pytest test/unit/robot/test_embodiment_from_urdf.py
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
from dial_core.robot.embodiment_from_urdf import embodiment_from_urdf, remarks, to_yaml
from dial_core.robot.kinematics import ForwardKinematics, LinkPositions
from dial_core.robot.urdf import parse_urdf


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
    arguments = {"name": "two_arms", "base": "pelvis", "wrists": ("left_wrist", "right_wrist"), "groups": GROUPS}
    return embodiment_from_urdf(parse_urdf(changes.pop("text", URDF), "test"), **(arguments | changes))


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
    with pytest.raises(DialError, match=r"no joint that no earlier group has matches 'head.*'; movable joints: .*left_shoulder"):
        made(groups=GROUPS | {"head": "head.*"})
    with pytest.raises(DialError, match="does not hang below base 'left_upper'"):
        made(base="left_upper")
    with pytest.raises(DialError, match=r"'left_\(' is not a regular expression"):
        made(groups={"left_arm": "left_("})
    with pytest.raises(DialError, match="joint 'left_shoulder' of the URDF has no child link"):
        made(text=URDF.replace('<child link="left_upper"/>', ""))


LIMIT = '<limit lower="-1.23456" upper="2.34567" velocity="2.0" effort="1"/>'


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ('<limit velocity="2.0" effort="1"/>', r"'right_shoulder' .* limits 0 to 0, so it cannot move \(an omitted"),
        ('<limit lower="-120" upper="120"/>', "are these degrees"),
        ('<limit lower="-inf" upper="inf"/>', "give it finite ones"),
    ],
)
def test_a_joint_without_a_usable_range_is_refused_only_if_it_is_commanded(limit, words):
    text = URDF.replace(LIMIT, limit, 1)
    with pytest.raises(DialError, match=words):
        made(text=text)
    robot = validate(Embodiment, made(text=text, groups={"left_arm": "left_.*"}), "test")
    assert robot.joint_names == ("left_shoulder",)


def test_a_lift_in_millimetres_is_refused():
    text = HUMANOID.replace('upper="0.4"', 'upper="400"')
    groups = {"waist": "lift|swing", "left_arm": "left_.*", "right_arm": "right_.*"}
    with pytest.raises(DialError, match=r"'lift' of the URDF \(prismatic\) has limits 0 to 400 m: are these millimetres\?"):
        made(text=text, groups=groups)


def test_a_continuous_joint_has_one_turn_whatever_its_limit_says():
    text = URDF.replace('right_shoulder" type="revolute"', 'right_shoulder" type="continuous"').replace(
        LIMIT, '<limit lower="0" upper="0" velocity="9" effort="1"/>', 1
    )
    robot = validate(Embodiment, made(text=text), "test")
    assert (robot.lower[1], robot.upper[1], robot.velocity[1]) == (-3.1415, 3.1415, 3.0)


def inner(name: str, kind: str, parent: str, child: str, limit: str, more: str = "") -> str:
    return f'''<link name="{child}"/><joint name="{name}" type="{kind}"><origin xyz="0.01 -0.02 0.1" rpy="0.3 -0.2 1.1"/>
      <parent link="{parent}"/><child link="{child}"/><axis xyz="0.6 0 0.8"/>{limit}{more}</joint>'''


HUMANOID = f"""<robot name="tall"><link name="pelvis"/>
  {inner("lift", "prismatic", "pelvis", "column", '<limit lower="0" upper="0.4" velocity="0.1" effort="1"/>')}
  {inner("swing", "revolute", "column", "torso", '<limit lower="-3" upper="3" velocity="1" effort="1"/>')}
  {inner("counter", "revolute", "torso", "chest", '<limit lower="-3" upper="3"/>', '<mimic joint="swing" multiplier="-0.5" offset="0.2"/>')}
  {inner("left_twist", "continuous", "chest", "left_wrist", "")}
  {inner("right_twist", "continuous", "chest", "right_wrist", '<limit lower="0" upper="0"/>')}
  {inner("right_finger", "revolute", "right_wrist", "right_tip", '<limit lower="0" upper="1"/>', '<mimic joint="right_twist"/>')}
</robot>"""


def test_kinematics_equal_an_independent_computation_lifts_and_mimic_joints_included(tmp_path):
    yourdfpy = pytest.importorskip("yourdfpy")
    groups = {"waist": "lift|swing|counter", "left_arm": "left_.*", "right_arm": "right_.*"}
    values = made(text=HUMANOID, groups=groups)
    robot = validate(Embodiment, yaml.safe_load(to_yaml(values, "tall")), "test")
    assert robot.joint_names == ("lift", "swing", "left_twist", "right_twist"), "mimic joints are not commanded"
    assert robot.velocity[0] == 0.1
    (tmp_path / "tall.urdf").write_text(HUMANOID)
    judge = yourdfpy.URDF.load(str(tmp_path / "tall.urdf"), build_scene_graph=True, load_meshes=False)
    rng = np.random.default_rng(0)
    joints = rng.uniform(robot.lower, robot.upper, (20, 4))
    poses = ForwardKinematics(robot).wrist_poses(joints)
    for row, pose in zip(joints, poses, strict=True):
        judge.update_cfg(dict(zip(robot.joint_names, row, strict=True)))
        for side, wrist in (("left_wrist", pose[:9]), ("right_wrist", pose[9:])):
            truth = judge.get_transform(side, "pelvis")
            np.testing.assert_allclose(wrist, np.concatenate([truth[:3, 3], truth[:3, 0], truth[:3, 1]]), atol=1e-7)


def test_what_is_not_commanded_is_reported():
    urdf = parse_urdf(HUMANOID, "test")
    values = embodiment_from_urdf(urdf, "tall", "pelvis", ("left_wrist", "right_wrist"), {"arms": ".*_twist"})
    assert remarks(urdf, values) == [
        "not commanded, as they mimic another joint: right_finger",
        "between base and wrists, but in no group, so kinematics takes them at 0: lift, swing",
    ]


def test_followers_of_joints_that_nobody_commands_stand_at_their_offset():
    text = HUMANOID.replace('multiplier="-0.5" offset="0.2"', 'offset="0.2"')
    groups = {"left_arm": "left_.*", "right_arm": "right_.*"}
    robot = validate(Embodiment, made(text=text, groups=groups), "test")
    turned = validate(Embodiment, made(text=text, groups={"waist": "swing"} | groups), "test")
    # `counter` follows `swing`: with `swing` at 0 both ways must give the same poses.
    expected = ForwardKinematics(turned).wrist_poses(np.array([0.0, 0.3, -0.4]))
    np.testing.assert_allclose(ForwardKinematics(robot).wrist_poses(np.array([0.3, -0.4])), expected, atol=1e-12)
    place = {link.body: number for number, link in enumerate(robot.links)}["left_wrist"]
    np.testing.assert_allclose(LinkPositions(robot)(np.array([0.3, -0.4]))[place], expected[:3], atol=1e-12)


def test_floating_and_planar_joints_between_base_and_wrists_are_reported():
    text = HUMANOID.replace('name="lift" type="prismatic"', 'name="lift" type="planar"')
    urdf = parse_urdf(text, "test")
    values = embodiment_from_urdf(urdf, "tall", "pelvis", ("left_wrist", "right_wrist"), {"all": "swing|.*_twist"})
    assert "floating or planar between base and wrists, so kinematics takes them at 0: lift" in remarks(urdf, values)
    hung = parse_urdf(URDF, "test")
    assert remarks(hung, made()) == [], "a joint above the base is not between base and wrists"


def test_the_urdfs_own_acceleration_counts_where_it_is_lower():
    values = made(text=URDF.replace('velocity="2.0"', 'velocity="2.0" acceleration="4"'))
    assert [joint["acceleration"] for joint in values["joints"]] == [4.0, 4.0]


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
