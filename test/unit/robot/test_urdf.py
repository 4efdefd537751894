"""URDF as its specification defines it: limits, mimic joints, axes, encodings, and what is refused with a reason.

pytest test/unit/robot/test_urdf.py
"""

import math
import time

import pytest

from dial_core.errors import DialError
from dial_core.robot.urdf import JointLimits, Mimic, parse_urdf, read_description, read_urdf


def robot(joint: str, head: str = '<?xml version="1.0" encoding="utf-8"?>') -> str:
    return f'{head}<robot name="r"><link name="a"/><link name="b"/>{joint}</robot>'


def joint(limit: str = '<limit lower="-2" upper="2" velocity="5" effort="9"/>', kind: str = "revolute", more: str = "") -> str:
    return f'<joint name="elbow" type="{kind}"><parent link="a"/><child link="b"/>{limit}{more}</joint>'


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (joint(), (-2, 2, 5)),
        (joint('<limit upper="2.6" velocity="5" effort="9"/>'), (0, 2.6, 5)),
        (joint('<limit velocity="5" effort="9"/>'), (0, 0, 5)),
        (joint('<limit lower="0" upper="0" velocity="5" effort="9"/>', "continuous"), (-math.inf, math.inf, 5)),
        (joint("", "continuous"), (-math.inf, math.inf, math.inf)),
        (joint('<limit lower="-1" upper="1" velocity="0" effort="9"/>', "prismatic"), (-1, 1, math.inf)),
        (joint(more='<safety_controller soft_lower_limit="-1.5" soft_upper_limit="1.5"/>'), (-1.5, 1.5, 5)),
        (joint(more='<safety_controller soft_lower_limit="-9" soft_upper_limit="9"/>'), (-2, 2, 5)),
    ],
)
def test_limits_follow_the_specification(element, expected):
    assert parse_urdf(robot(element), "test").joints["elbow"].limits == JointLimits(*expected)


def test_a_revolute_joint_without_limits_is_refused():
    with pytest.raises(DialError, match="joint 'elbow' is revolute and has no <limit>"):
        read_description(robot(joint("")))


def test_a_mimic_joint_cannot_be_commanded_and_says_whom_it_follows():
    follower = (
        '<joint name="tip" type="revolute"><parent link="b"/><child link="c"/><limit lower="0" upper="1"/>'
        '<mimic joint="elbow" multiplier="-0.5" offset="0.1"/></joint>'
    )
    text = robot(joint() + follower)
    tip = parse_urdf(text, "test").joints["tip"]
    assert tip.mimic == Mimic("elbow", -0.5, 0.1)
    assert not tip.commandable
    assert read_description(text).unmoved == {"tip": "follows elbow"}
    with pytest.raises(DialError, match="mimics 'knee', which is not a joint"):
        parse_urdf(text.replace('mimic joint="elbow"', 'mimic joint="knee"'), "test")


def test_axes_are_of_unit_length_and_have_a_direction():
    assert parse_urdf(robot(joint(more='<axis xyz="0 -2 0"/>')), "test").joints["elbow"].axis == (0, -1, 0)
    with pytest.raises(DialError, match="axis is 0 0 0"):
        parse_urdf(robot(joint(more='<axis xyz="0 0 0"/>')), "test")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (robot(joint('<limit lower="-2" upper="${pi/2}"/>')), r"joint 'elbow': <limit> contains '\$\{pi/2\}'; process the xacro"),
        ('<robot name="r" xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:arm side="left"/></robot>', "contains <xacro:arm>"),
        ('<robot name="r"><xacro:arm/></robot>', "unbound prefix.*xacro robot.urdf.xacro"),
        (robot(joint(more='<origin xyz="0 0"/>')), "xyz is '0 0', not three numbers"),
        (robot(joint(more='<origin rpy="0 0 nan"/>')), "not finite"),
        (robot(joint('<limit lower="-2" upper="2,6"/>')), "upper is '2,6', not a number"),
        (robot(joint() + joint()), "two joints named 'elbow'"),
        (robot(joint() + joint().replace("elbow", "second")), "link 'b' is the child of several joints"),
        ('<!DOCTYPE r [<!ENTITY a "b">]>' + robot("", ""), "XML entities"),
        (robot(joint('<limit lower="-2" upper="1_0"/>')), "upper is '1_0', not a number"),
        (robot(joint('<limit lower="-2" upper="2" velocity="-3"/>')), "joint 'elbow': velocity is -3; a limit is positive"),
        (robot(joint().replace("elbow", "")), "joint 1 of 1 has no name"),
        (robot('<link name="a"/>'), "two links named 'a'"),
        (robot(joint())[:-30], "is it a URDF, and complete?"),
    ],
)
def test_what_is_wrong_is_refused_with_joint_and_value(text, words):
    with pytest.raises(DialError, match=words):
        parse_urdf(text, "test")


def test_a_bare_doctype_and_a_processed_xacro_namespace_are_accepted():
    text = robot(joint(), '<?xml version="1.0"?>\n<!DOCTYPE robot>\n').replace(
        "<robot", '<robot xmlns:xacro="http://www.ros.org/wiki/xacro"'
    )
    assert list(parse_urdf(text, "test").joints) == ["elbow"]


def test_what_ros_accepts_and_xml_does_not_is_read():
    text = "\n  " + robot(f"<!-- ---- arm ---- <joint/> -->{joint()}", '<?xml version="1.0"?>\n<!-- by hand -- 2024 -->\n')
    assert list(parse_urdf(text, "test").joints) == ["elbow"]


def test_rotations_of_urdf_1_1_are_quaternions():
    half = math.sqrt(0.5)
    for origin in ('<origin quat_xyzw="0 0 2 2"/>', f'<origin rpy="0 0 {math.pi / 2}"/>'):
        found = parse_urdf(robot(joint(more=origin)), "test").joints["elbow"].quaternion
        assert found == pytest.approx((half, 0, 0, half))
    for quaternion, words in (("0 0 0 0", "is no rotation"), ("0 0 1", "not four numbers")):
        with pytest.raises(DialError, match=words):
            parse_urdf(robot(joint(more=f'<origin quat_xyzw="{quaternion}"/>')), "test")
    with pytest.raises(DialError, match="both rpy and quat_xyzw"):
        parse_urdf(robot(joint(more='<origin rpy="0 0 0" quat_xyzw="0 0 0 1"/>')), "test")


def test_accelerations_of_urdf_1_2_are_limits():
    limit = '<limit lower="-2" upper="2" velocity="5" effort="9" acceleration="{}"/>'
    for value, expected in (("4", 4.0), ("0", math.inf)):
        assert parse_urdf(robot(joint(limit.format(value))), "test").joints["elbow"].limits == JointLimits(-2, 2, 5, expected)


def test_a_description_of_many_joints_is_read_in_linear_time():
    # It arrives over a topic: a robot's node must not be kept busy for minutes.
    count = 20_000
    links = "".join(f'<link name="l{k}"/>' for k in range(count + 1))
    joints = "".join(f'<joint name="j{k}" type="fixed"><parent link="l{k}"/><child link="l{k + 1}"/></joint>' for k in range(count))
    began_s = time.process_time()
    assert len(parse_urdf(f'<robot name="r">{links}{joints}</robot>', "test").joints) == count
    assert time.process_time() - began_s < 4


def test_comments_that_never_end_are_refused_in_linear_time():
    began_s = time.process_time()
    with pytest.raises(DialError):
        parse_urdf('<robot name="r">' + "<!-- " * 400_000, "test")
    assert time.process_time() - began_s < 4


def test_a_pointer_or_an_empty_file_is_named(tmp_path):
    for content, words in ((b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"), (b"", "is empty")):
        (tmp_path / "r.urdf").write_bytes(content)
        with pytest.raises(DialError, match=words):
            read_urdf(tmp_path / "r.urdf")


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("gb2312", "gb2312"), ("utf-16", "utf-16"), ("latin-1", "ISO-8859-1")],
)
def test_files_in_other_encodings_are_read(tmp_path, encoding, declared):
    comment = "Gelenk für links" if encoding == "latin-1" else "机器人"
    text = robot(f"<!-- {comment} -->" + joint(), f'<?xml version="1.0" encoding="{declared}"?>')
    (tmp_path / "r.urdf").write_bytes(text.encode(encoding))
    assert list(read_urdf(tmp_path / "r.urdf").joints) == ["elbow"]


def test_a_file_that_is_not_in_the_encoding_it_names_is_one_line(tmp_path):
    (tmp_path / "r.urdf").write_bytes(robot("<!-- 机器人 -->").encode("gb2312"))
    with pytest.raises(DialError, match=r"r\.urdf is not utf-8 text \(byte \d+\); save it as UTF-8"):
        read_urdf(tmp_path / "r.urdf")
    (tmp_path / "r.urdf").write_text(robot("").replace("utf-8", "klingon"))
    with pytest.raises(DialError, match="encoding 'klingon'"):
        read_urdf(tmp_path / "r.urdf")
    with pytest.raises(DialError, match="No such file"):
        read_urdf(tmp_path / "missing.urdf")


def test_a_default_namespace_is_passed_over():
    text = robot(joint()).replace("<robot", '<robot xmlns="http://www.ros.org"')
    assert list(parse_urdf(text, "test").joints) == ["elbow"]


@pytest.mark.parametrize("kind", ["Revolute", "hinge", ""])
def test_a_type_that_the_specification_does_not_know_is_refused_with_those_it_knows(kind):
    with pytest.raises(DialError, match=f"joint 'elbow' has the type '{kind}'; types of the URDF specification: revolute, continuous"):
        parse_urdf(robot(joint().replace('type="revolute"', f'type="{kind}"')), "test")
