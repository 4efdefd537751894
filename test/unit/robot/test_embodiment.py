"""pytest test/unit/robot/test_embodiment.py"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment, Link, load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.rotations import from_quaternion, rotation_from_6d, rotation_to_6d


def test_gr1_has_the_47_vector_of_the_paper():
    gr1 = load_embodiment("gr1")
    assert gr1.state_dim == 47
    assert gr1.joint_slice == slice(18, 47)
    assert [gr1.group_slice(g) for g in ("left_arm", "right_arm", "left_hand", "right_hand", "waist")] == [
        slice(18, 25),
        slice(25, 32),
        slice(32, 38),
        slice(38, 44),
        slice(44, 47),
    ]


@pytest.mark.parametrize(("robot", "count"), [("gr1", 12), ("unitree_g1", 14)])
def test_fingers_are_the_joints_beyond_the_wrists_whether_links_describe_them_or_not(robot, count):
    embodiment = load_embodiment(robot)
    hands = np.array([joint.group.endswith("hand") for joint in embodiment.joints])
    np.testing.assert_array_equal(embodiment.fingers, hands)
    assert embodiment.fingers.sum() == count
    finger = embodiment.joint_names[int(hands.argmax())]
    hand = [Link(body="palm", parent=embodiment.wrists.left), Link(body="tip", parent="palm", joint=finger)]
    described = Embodiment(**embodiment.model_dump() | {"links": [*embodiment.links, *hand]})
    np.testing.assert_array_equal(described.fingers, hands)


def test_an_unknown_group_is_refused_with_the_groups_there_are():
    with pytest.raises(DialError, match="right_hand"):
        load_embodiment("gr1").group_slice("tail")


def test_cameras_and_joints_are_found_by_name_or_refused_with_the_names_there_are():
    gr1 = load_embodiment("gr1")
    assert gr1.camera("ego").topic == "image/ego"
    np.testing.assert_array_equal(gr1.indices(["r_elbow_pitch", "l_shoulder_pitch"]), [10, 0])
    assert gr1.indices([]).shape == (0,)
    with pytest.raises(DialError, match="embodiment 'gr1' has no camera 'wrist'; cameras: ego"):
        gr1.camera("wrist")
    with pytest.raises(DialError, match="embodiment 'gr1' has no joint 'knee'; joints: l_shoulder_pitch, "):
        gr1.indices(["r_elbow_pitch", "knee"])


@pytest.mark.parametrize(
    ("field", "value", "words"), [("upper", float("nan"), "must be finite"), ("group", "waist", "must follow one another")]
)
def test_values_that_make_no_robot_are_named(field, value, words):
    values = load_embodiment("gr1").model_dump()
    values["joints"][0][field] = value
    with pytest.raises(DialError, match=words):
        validate(Embodiment, values, "robot.yaml")


def test_limits_and_home_are_consistent_and_frozen():
    gr1 = load_embodiment("gr1")
    assert np.all(gr1.lower <= gr1.home_position)
    assert np.all(gr1.home_position <= gr1.upper)
    with pytest.raises(ValueError):
        gr1.lower[0] = 0


def test_every_joint_needs_exactly_one_controller():
    values = load_embodiment("gr1").model_dump()
    values["controllers"] = values["controllers"][:-1]
    with pytest.raises(DialError, match="torso_waist_yaw"):
        validate(Embodiment, values, "robot.yaml")


def test_a_link_before_its_parent_is_named():
    values = load_embodiment("gr1").model_dump()
    values["links"] = values["links"][::-1]
    with pytest.raises(DialError, match="comes before its parent"):
        validate(Embodiment, values, "robot.yaml")


unit_quaternions = st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(unit_quaternions)
def test_6d_rotations_round_trip(quaternion):
    rotation = from_quaternion(np.array(quaternion))
    six = rotation_to_6d(rotation)
    np.testing.assert_allclose(six, np.concatenate([rotation[:, 0], rotation[:, 1]]))
    np.testing.assert_allclose(rotation_from_6d(six), rotation, atol=1e-12)


def test_6d_rotations_that_are_not_orthonormal_still_give_a_rotation():
    rotation = rotation_from_6d(np.array([2.0, 0, 0, 1.0, 3.0, 0]))
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-12)


def test_elbow_at_right_angle_moves_the_wrist_by_the_forearm():
    gr1 = load_embodiment("gr1")
    kinematics = ForwardKinematics(gr1)
    joints = np.zeros(29)
    straight = kinematics.wrist_poses(joints)
    joints[gr1.joint_names.index("r_elbow_pitch")] = -np.pi / 2
    bent = kinematics.wrist_poses(joints)
    forearm = 0.0405 + 0.2015
    np.testing.assert_allclose(bent[9:12] - straight[9:12], [forearm, 0, forearm], atol=1e-4)
    np.testing.assert_allclose(bent[:9], straight[:9])


def test_the_state_is_wrist_poses_then_joints():
    gr1 = load_embodiment("gr1")
    joints = np.linspace(-0.3, 0.3, 29)
    state = ForwardKinematics(gr1).state(joints)
    assert state.shape == (47,)
    assert state.dtype == np.float32
    np.testing.assert_allclose(state[gr1.joint_slice], joints, rtol=1e-6)
