"""Limits from the embodiment, the URDF and the margins; clamps and their counts; finiteness."""

import numpy as np
import pytest

from dial_core.control.joint_limits import Guard, Limit, Margins
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.urdf import JointLimits, read_description

EMBODIMENT = load_embodiment("gr1")
ONE_JOINT = Guard(np.array([-1.0]), np.array([1.0]), np.array([2.0]), np.array([20.0]))
TIMES_S = np.array([0.05, 0.1, 0.15, 0.2])


def test_positions_are_clamped_and_counted():
    inside, clamps = ONE_JOINT.clamp(np.array([[0.5], [1.5], [-3.0], [1.001]]), TIMES_S)
    assert inside.ravel().tolist() == [0.5, 1.0, -1.0, 1.0]
    assert clamps == {Limit.POSITION: 2}, "a thousandth of a radian is not worth counting"


def test_a_target_too_far_from_the_measured_joints_is_drawn_near_and_counted():
    guard = Guard(np.array([-9.0]), np.array([9.0]), np.array([2.0]), np.array([20.0]), jump=0.3)
    targets = np.array([[0.3], [0.6], [0.5], [-0.9]])
    near, clamps = guard.clamp(targets, TIMES_S, np.zeros(1))
    np.testing.assert_allclose(near.ravel(), [0.3, 0.5, 0.5, -0.7])  # 0.3 rad and 2 rad/s from the measurement on
    assert clamps == {Limit.JUMP: 2}


@pytest.mark.parametrize(("measured", "near_rad", "names"), [(0.5, [0.9], {Limit.POSITION, Limit.JUMP}), (-2.0, [-1.6], {Limit.JUMP})])
def test_a_jump_is_clamped_last_and_leads_nobody_out_of_the_position_limits(measured, near_rad, names):
    """A joint found a radian outside was sent to its limit at once, and `jump` was not among the clamps."""
    guard = Guard(np.array([-1.0]), np.array([1.0]), np.array([2.0]), np.array([20.0]), jump=0.3)
    near, clamps = guard.clamp(np.array([[1.5]]) if measured > 0 else np.array([[-0.5]]), TIMES_S[:1], np.array([measured]))
    np.testing.assert_allclose(near, [near_rad])
    assert set(clamps) == names


def test_margins_draw_the_limits_in():
    guard = Guard.for_embodiment(EMBODIMENT, Margins(position=0.02, velocity=0.5, acceleration=0.25))
    np.testing.assert_allclose(guard.lower - EMBODIMENT.lower, 0.02)
    np.testing.assert_allclose(EMBODIMENT.upper - guard.upper, 0.02)
    np.testing.assert_allclose(guard.velocity, EMBODIMENT.velocity / 2)
    np.testing.assert_allclose(guard.acceleration, EMBODIMENT.acceleration / 4)


def test_margins_that_leave_no_room_are_refused_with_the_joint():
    with pytest.raises(DialError, match=r"l_shoulder_roll.*no room"):
        Guard.for_embodiment(EMBODIMENT, Margins(position=1.6))


def test_the_urdf_narrows_the_embodiments_limits_and_never_widens_them():
    urdf = {name: JointLimits(-9.0, 9.0, 99.0) for name in EMBODIMENT.joint_names}
    urdf["r_elbow_pitch"] = JointLimits(-2.0, -0.1, 1.0, 5.0)
    guard = Guard.for_embodiment(EMBODIMENT, urdf=urdf)
    elbow = EMBODIMENT.joint_names.index("r_elbow_pitch")
    assert (guard.lower[elbow], guard.upper[elbow], guard.velocity[elbow], guard.acceleration[elbow]) == (-2.0, -0.1, 1.0, 5.0)
    others = np.arange(len(EMBODIMENT.joints)) != elbow
    np.testing.assert_array_equal(guard.lower[others], EMBODIMENT.lower[others])
    np.testing.assert_array_equal(guard.velocity[others], EMBODIMENT.velocity[others])


def test_a_urdf_without_one_of_the_joints_is_refused_by_name():
    with pytest.raises(DialError, match=r"no joint l_shoulder_pitch, .*its movable joints: elbow"):
        Guard.for_embodiment(EMBODIMENT, urdf={"elbow": JointLimits(-1, 1, 1)})


URDF = """<robot name="r">
  <joint name="elbow" type="revolute"><limit lower="-2.5" upper="0.5" velocity="3.1" effort="9"/></joint>
  <joint name="wheel" type="continuous"><limit velocity="7" effort="1"/></joint>
  <joint name="soft" type="revolute"><limit lower="-2" upper="2" velocity="0" effort="1"/>
    <safety_controller soft_lower_limit="-1.5" soft_upper_limit="1" k_velocity="1"/></joint>
  <joint name="weld" type="fixed"/>
  <joint name="tip" type="revolute"><limit lower="0" upper="1" velocity="1" effort="1"/><mimic joint="soft"/></joint>
</robot>"""


def test_limits_are_read_from_a_urdf_soft_ones_included():
    assert read_description(URDF).limits == {
        "elbow": JointLimits(-2.5, 0.5, 3.1),
        "wheel": JointLimits(-np.inf, np.inf, 7.0),
        "soft": JointLimits(-1.5, 1.0, np.inf),
    }


def test_joints_that_no_controller_moves_are_reported_separately():
    assert read_description(URDF).unmoved == {"weld": "fixed", "tip": "follows soft"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no xml", "not XML"),
        ("<mujoco/>", "begins with <mujoco>"),
        (URDF.replace("-2.5", "two"), "joint 'elbow': lower is 'two'"),
        (URDF.replace("-2.5", "nan"), "joint 'elbow': lower"),
        ('<!DOCTYPE r [<!ENTITY a "b">]><robot/>', "entities"),
        ("x" * 20_000_001, "20000001 characters"),
    ],
)
def test_what_is_no_urdf_is_refused_with_the_reason(text, words):
    with pytest.raises(DialError, match=words):
        read_description(text)
