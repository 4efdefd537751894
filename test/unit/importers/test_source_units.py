"""Joints that a dataset names one by one, in other units than ours: LeRobot's SO-100, SO-101 and Koch, in degrees or normalised.

pytest test/unit/importers/test_source_units.py
"""

import numpy as np
import pytest

from dial_core.datasets.metadata import Feature
from dial_core.datasets.modality import Modality, load_modality
from dial_core.errors import DialError
from dial_core.importers.reach import units_that_fit
from dial_core.importers.source_mapping import SourceMapping, VectorReader
from dial_core.robot.embodiment import Embodiment, load_embodiment

from .recordings import robot_with_limits

ROBOT = load_embodiment("gr1")
NAMES = [f"{name}.pos" for name in ROBOT.joint_names]
FEATURES = {column: Feature(dtype="float32", shape=(len(NAMES),), names=NAMES) for column in ("observation.state", "action")}
WAIST = slice(18 + ROBOT.joint_names.index("torso_waist_yaw"), 18 + ROBOT.joint_names.index("torso_waist_yaw") + 3)
FINGER = "L_thumb_proximal_yaw_joint"


@pytest.fixture
def modality(tmp_path) -> Modality:
    return load_modality(tmp_path, FEATURES)


def states(modality: Modality, robot: Embodiment = ROBOT, groups=None, **joints) -> np.ndarray:
    values = np.tile(robot.home_position, (3, 1))
    for name, numbers in joints.items():
        values[:, robot.joint_names.index(name)] = numbers
    reader = VectorReader(SourceMapping(groups=groups or {}), modality, robot)
    return reader.states({"observation.state": values.astype(np.float32)})


def test_a_rule_without_a_part_is_of_the_dimensions_with_the_names_of_the_joints(modality):
    found = states(modality, groups={"waist": {"scale": 0.0174533, "offset": 0.1}}, torso_waist_yaw=[0, 30, 60])
    assert found[:, WAIST.start] == pytest.approx(np.radians([0, 30, 60]) + 0.1, abs=1e-4)


def test_a_rule_may_give_each_joint_its_own_scale_and_offset(modality):
    groups = {"waist": {"scale": [0.0105, 0.0087, 0.007], "offset": [0.0, 0.35, 0.0]}}
    found = states(modality, groups=groups, torso_waist_yaw=[-100, 0, 100], torso_waist_pitch=[100, 0, -100])
    assert found[:, WAIST.start] == pytest.approx([-1.05, 0.0, 1.05])
    assert found[:, WAIST.start + 1] == pytest.approx([1.22, 0.35, -0.52])
    with pytest.raises(DialError, match="`scale` of joint group 'waist' in the mapping has 2 numbers; give one, or one for each of its 3"):
        states(modality, groups={"waist": {"scale": [1.0, 2.0]}})


def test_an_order_is_refused_where_joints_are_found_by_name(modality):
    with pytest.raises(DialError, match=r"`order` of joint group 'waist' .* its joints are found by their names"):
        states(modality, groups={"waist": {"order": [2, 1, 0]}})


def test_degrees_are_named_with_the_scale_that_converts_them(modality):
    expected = r"'torso_waist_yaw' reaches -60, beyond a full turn; .* are these degrees \(scale: 0\.0174533\) or LeRobot's normalised"
    with pytest.raises(DialError, match=expected) as error:
        states(modality, torso_waist_yaw=[0, 30, -60])
    assert "give `scale` and `offset` of group 'waist' in a mapping" in str(error.value)
    assert str(error.value).endswith("where they are normalised, by each joint's own range, one number for each joint of the group")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 0.5, 1.0), r"beyond six times its range; .* are these normalised 0 to 1 \(scale: 0\.04\) or degrees \(scale: 0\.0174533\)\?"),
        ((0, 20, 40), r"are these millimetres \(scale: 0\.001\) or normalised 0 to 100 \(scale: 0\.0004\)\?"),
        (
            (0, 50, 100),
            r"are these normalised 0 to 100 \(scale: 0\.0004\) or LeRobot's normalised -100 to 100 \(scale: 0\.0002, offset: 0\.02\)\?",
        ),
        ((0, 500, 1000), r"are these of another unit\?"),
    ],
)
def test_a_gripper_in_other_units_than_metres_is_refused_with_those_that_fit_its_range(modality, numbers, expected):
    robot = robot_with_limits(FINGER, 0.0, 0.04)
    assert states(modality, robot, **{FINGER: [0, 0.02, 0.04]})[2, 18 + robot.joint_names.index(FINGER)] == pytest.approx(0.04)
    with pytest.raises(DialError, match=expected):
        states(modality, robot, **{FINGER: numbers})


def test_a_unit_fits_if_all_positions_lie_within_the_limits():
    assert units_that_fit(np.array([-90.0, 100.0]), -1.0, 1.0) == ["LeRobot's normalised -100 to 100 (scale: 0.01)"]
    assert units_that_fit(np.array([5.0, 95.0]), 0.5, 1.5)[0] == "normalised 0 to 100 (scale: 0.01, offset: 0.5)"
