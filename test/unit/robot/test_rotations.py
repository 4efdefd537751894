"""Roll, pitch and yaw as a URDF means them.

pytest test/unit/robot/test_rotations.py
"""

import numpy as np
import pytest

from dial_core.robot.rotations import from_quaternion, from_rpy, quaternion_from_rpy, to_rpy


def test_roll_turns_about_the_fixed_x_axis_first_and_yaw_about_the_fixed_z_axis_last():
    np.testing.assert_allclose(from_rpy(np.array([np.pi / 2, 0, 0])) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(from_rpy(np.array([np.pi / 2, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(from_rpy(np.array([np.pi / 2, 0, np.pi / 2])) @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_matrix_and_quaternion_of_the_same_angles_agree():
    rpy = (0.3, -0.7, 2.1)
    np.testing.assert_allclose(from_quaternion(np.array(quaternion_from_rpy(rpy))), from_rpy(np.array(rpy)), atol=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pitch", [0.4, np.pi / 2, -np.pi / 2])
def test_angles_give_the_same_rotation_back_even_where_they_are_ambiguous(pitch):
    rotation = from_rpy(np.array([0.2, pitch, -1.1]))
    np.testing.assert_allclose(from_rpy(to_rpy(rotation)), rotation, atol=1e-9)
