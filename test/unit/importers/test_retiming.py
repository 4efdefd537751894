import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.importers.retiming import retime
from dial_core.robot.rotations import from_axis_angle, interpolate, matrices, rotation_to_6d, to_axis_angle

QUARTER = np.pi / 2


def test_thirty_hertz_become_twenty_without_looking_ahead():
    timing = retime(7, 30.0, 20.0)
    # steps at 0, 1.5, 3, 4.5, 6 samples
    assert timing.frames.tolist() == [0, 1, 3, 4, 6]
    np.testing.assert_allclose(timing.share, [0, 0.5, 0, 0.5, 0])
    np.testing.assert_allclose(timing.linear(np.arange(7.0)[:, None])[:, 0], [0, 1.5, 3, 4.5, 6])


def test_the_same_rate_changes_nothing():
    values = np.random.default_rng(0).normal(size=(5, 47))
    np.testing.assert_array_equal(retime(5, 20.0, 20.0).vectors(values), values)


def test_fifty_hertz_become_twenty():
    assert retime(11, 50.0, 20.0).frames.tolist() == [0, 2, 5, 7, 10]


def test_a_wrist_turns_on_the_arc_and_not_through_the_chord():
    ends = from_axis_angle(np.array([[0.0, 0, 0], [0, 0, QUARTER]]))
    vectors = np.zeros((2, 18))
    vectors[:, 3:9] = vectors[:, 12:18] = rotation_to_6d(ends)
    middle = retime(2, 10.0, 20.0).vectors(vectors)[1]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(middle[3:9], [half, half, 0, -half, half, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("axis_angle", [0, 0, QUARTER]),
        ("quaternion", [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]),
        ("rotation_6d", [0, 1, 0, -1, 0, 0]),
        ("matrix", [0, -1, 0, 1, 0, 0, 0, 0, 1]),
        ("euler_angles_rpy", [0, 0, QUARTER]),
        ("euler_angles_ypr", [QUARTER, 0, 0]),
    ],
)
def test_a_quarter_turn_to_the_left_is_the_same_matrix_in_every_notation(kind, values):
    np.testing.assert_allclose(matrices(np.array([values], float), kind)[0], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_the_order_of_euler_angles_counts():
    both = matrices(np.array([[QUARTER, 0, QUARTER]]), "euler_angles_rpy")[0]
    # R_x(90) R_z(90): x -> y -> z, y -> -x, z -> -y
    np.testing.assert_allclose(both, [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-12)


def test_quaternions_may_end_with_w():
    turned = matrices(np.array([[0, 0, np.sqrt(0.5), np.sqrt(0.5)]]), "quaternion", "xyzw")[0]
    np.testing.assert_allclose(turned[:, 0], [0, 1, 0], atol=1e-12)


def test_rotation_vectors_come_back_even_at_half_a_turn():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(30, 3)), np.eye(3) * np.pi, np.zeros((1, 3))])
    turned = from_axis_angle(vectors)
    np.testing.assert_allclose(from_axis_angle(to_axis_angle(turned)), turned, atol=1e-6)
    np.testing.assert_allclose(interpolate(turned, turned, np.full(len(turned), 0.5)), turned, atol=1e-6)


def test_an_unknown_rotation_lists_the_known_ones():
    with pytest.raises(DialError, match="axis_angle, quaternion"):
        matrices(np.zeros((1, 3)), "spin")


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_continuous_joint_that_passes_half_a_turn_does_not_swing_through_zero(sign):
    vectors = np.zeros((4, 20))
    vectors[:, 3:9] = vectors[:, 12:18] = rotation_to_6d(np.eye(3)[None])
    vectors[:, 18] = sign * np.array([3.10, 3.13, -3.12, -3.09])
    vectors[:, 19] = [-1.5, -1.4, 1.4, 1.5]  # far, and no whole turn
    joints = retime(4, 30.0, 20.0).vectors(vectors)[:, 18:]
    np.testing.assert_allclose(joints[:, 0], sign * np.array([3.10, 3.13, -3.09]))
    np.testing.assert_allclose(joints[:, 1], [-1.5, 0.0, 1.5], atol=1e-12)
