"""pytest test/unit/robot/test_vector_layout.py"""

import numpy as np
import pytest

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.rotations import rotation_from_6d
from dial_core.robot.vector_layout import BasePose, LayoutConverter, VectorLayout, load_layout

GR1 = load_embodiment("gr1")
# Facing +y at (2, -1), 0.93 m up: as the robot stands in the original benchmark.
BASE = BasePose(position=(2.0, -1.0, 0.93), quaternion=(np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))).matrix


def converter(name: str = "released") -> LayoutConverter:
    return LayoutConverter(load_layout(name), GR1)


def test_our_own_layout_changes_nothing():
    vectors = np.random.default_rng(0).normal(size=(5, 47)).astype(np.float32)
    ours = converter("ours")
    assert ours.identity
    assert ours.from_ours(vectors) is vectors
    assert ours.to_ours(vectors) is vectors


def test_the_released_layout_is_right_before_left_and_each_hand_after_its_arm():
    released = converter()
    assert released.parts == (7, 6, 7, 6, 3)
    marked = np.zeros(47)
    marked[[3, 7, 12, 16]] = 1.0  # identity rotations
    marked[18:25], marked[25:32], marked[44:47] = 0.1, 0.2, 0.3  # left arm, right arm, waist
    marked[37], marked[43] = 0.4, 0.5  # thumb yaws: one hinge each
    got = released.from_ours(marked, np.eye(4))
    np.testing.assert_allclose(got[18:25], 0.2)
    np.testing.assert_allclose(got[25:31], [0, 0, 0, 0, 0, 0.5])
    np.testing.assert_allclose(got[31:38], 0.1)
    np.testing.assert_allclose(got[38:44], [0, 0, 0, 0, 0, 0.4])
    np.testing.assert_allclose(got[44:47], 0.3)


def test_wrists_are_expressed_in_the_world_of_the_scene():
    state = ForwardKinematics(GR1).state(GR1.home_position).astype(np.float64)
    got = converter().from_ours(state, BASE)
    left_position, left_rotation = state[:3], rotation_from_6d(state[3:9])
    np.testing.assert_allclose(got[9:12], [2.0 - left_position[1], -1.0 + left_position[0], 0.93 + left_position[2]], atol=1e-6)
    np.testing.assert_allclose(rotation_from_6d(got[12:18]), BASE[:3, :3] @ left_rotation, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "total"),
    [(0.5, 1.0), (1.57, 3.14), (1.74, 3.31), (2.5, 3.31), (-0.1, -0.2)],
    ids=["both hinges turn", "the inner one stops", "both stopped", "beyond both limits", "below zero"],
)
def test_one_target_drives_two_hinges_whose_sum_is_our_joint(target, total):
    vector = np.zeros(47)
    vector[[3, 7, 12, 16]] = 1.0
    vector[25] = target  # right pinky
    assert converter().to_ours(vector, np.eye(4))[38] == pytest.approx(total)


def test_every_reachable_vector_comes_back_from_either_direction():
    draw = np.random.default_rng(1)
    joints = draw.uniform(GR1.lower, GR1.upper, (50, len(GR1.joints)))
    forward = ForwardKinematics(GR1)
    states = np.stack([np.concatenate([forward.wrist_poses(row), row]) for row in joints])
    released = converter()
    np.testing.assert_allclose(released.to_ours(released.from_ours(states, BASE), BASE), states, atol=1e-9)


def test_joints_and_single_wrists_are_converted_as_in_whole_vectors():
    draw = np.random.default_rng(2)
    joints = draw.uniform(GR1.lower, GR1.upper, (20, len(GR1.joints)))
    states = np.concatenate([ForwardKinematics(GR1).wrist_poses(joints), joints], 1)
    theirs, released = converter().from_ours(states, BASE), converter()
    np.testing.assert_allclose(released.joints_to_ours(released.joints_from_ours(joints)), joints, atol=1e-9)
    np.testing.assert_allclose(released.joints_from_ours(joints)[:, 20:26], theirs[:, 25:31], atol=1e-6)
    np.testing.assert_allclose(released.wrist_to_ours(theirs[:, 9:18], BASE), states[:, :9], atol=1e-9)
    np.testing.assert_array_equal(converter("ours").wrist_to_ours(states[:, :9]), states[:, :9])


def test_without_the_pose_of_the_base_the_next_step_is_named():
    with pytest.raises(DialError, match=r"layout 'released' has its wrists in the world frame.*--base"):
        converter().from_ours(np.ones(47))
    known = LayoutConverter(load_layout("released").model_copy(update={"base": BasePose(position=(0, 0, 1))}), GR1)
    state = ForwardKinematics(GR1).state(GR1.home_position)
    assert known.from_ours(state)[2] == pytest.approx(state[11] + 1, abs=1e-6)


def test_a_layout_of_another_robot_is_refused_with_the_groups_there_are():
    with pytest.raises(DialError, match=r"groups left_arm, which do not hold every joint .* its groups: left_arm, "):
        LayoutConverter(VectorLayout(name="half", groups=("left_arm",)), GR1)
    with pytest.raises(DialError, match="name one side twice"):
        validate(VectorLayout, {"name": "odd", "wrists": ["left", "left"]}, source="odd.yaml")
