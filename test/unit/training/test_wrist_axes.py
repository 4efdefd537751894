"""Other axes for recorded wrists: a change of the frame that the hand carries, and of nothing else.

pytest test/unit/training/test_wrist_axes.py
"""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from dial_core.config import load_config
from dial_core.training.recipe import DataSource, Recipe
from dial_core.training.wrist_axes import axes_of, with_wrist_axes


def vectors(rotations: np.ndarray) -> np.ndarray:
    """(n, 47) with the two wrists' rotations (n, 2, 3, 3)."""
    rows = np.random.default_rng(0).normal(size=(len(rotations), 47)).astype(np.float32)
    rows[:, 3:9], rows[:, 12:18] = (rotations[:, wrist, :, :2].transpose(0, 2, 1).reshape(-1, 6) for wrist in range(2))
    return rows


def test_both_wrists_turn_about_the_named_axes_and_the_rest_stays():
    recorded = Rotation.random(10, random_state=1).as_matrix().reshape(5, 2, 3, 3)
    x, y, z = np.moveaxis(recorded, -1, 0)
    expected = np.stack([y, -x, z], -1)
    np.testing.assert_allclose(with_wrist_axes(vectors(recorded), axes_of(("y", "-x", "z"))), vectors(expected), atol=1e-6)


def test_four_quarter_turns_are_none_and_the_given_vectors_are_not_changed():
    rows = vectors(Rotation.random(4, random_state=2).as_matrix().reshape(2, 2, 3, 3))
    kept, turned = rows.copy(), rows
    for _ in range(4):
        turned = with_wrist_axes(turned, axes_of(("y", "-x", "z")))
    np.testing.assert_allclose(turned, rows, atol=1e-5)
    np.testing.assert_array_equal(rows, kept)


# `left_hand_local_mat` and `right_hand_local_mat` of gr00t/experiment/data_config_dial.py in xpeng-robotics/DIAL (b611fed). The release
# multiplies a hand's rotation matrix by them from the right and keeps the first two columns (`LocalAxisTransform`).
RELEASE = {"left": np.diag([1.0, -1.0, 1.0]), "right": np.diag([-1.0, -1.0, -1.0])}


@pytest.mark.parametrize("wrists", [("left", "right"), ("right", "left")])
def test_the_release_turns_each_hand_by_a_matrix_of_its_own_in_either_order_of_the_vectors(wrists):
    axes = load_config(Recipe, "training", "released_human").source("human").wrist_axes
    recorded = Rotation.random(10, random_state=3).as_matrix().reshape(5, 2, 3, 3)
    expected = np.stack([recorded[:, i] @ RELEASE[side] for i, side in enumerate(wrists)], 1)
    np.testing.assert_allclose(with_wrist_axes(vectors(recorded), axes_of(axes, wrists)), vectors(expected), atol=1e-6)


def test_a_side_that_is_not_named_stays_as_recorded():
    rows = vectors(Rotation.random(4, random_state=2).as_matrix().reshape(2, 2, 3, 3))
    source = DataSource(slot="gr1", wrist_axes={"right": ("y", "-x", "z")})
    turned = with_wrist_axes(rows, axes_of(source.wrist_axes))
    np.testing.assert_array_equal(turned[:, :12], rows[:, :12])
    assert np.abs(turned[:, 12:18] - rows[:, 12:18]).max() > 0.1


def test_an_unknown_side_is_refused():
    with pytest.raises(ValidationError, match="wrist_axes"):
        DataSource(slot="gr1", wrist_axes={"both": ("y", "-x", "z")})


@pytest.mark.parametrize("axes", [("x", "y", "-z"), ("x", "x", "z"), ("y", "x", "z"), {"right": ("x", "y", "-z")}])
def test_axes_that_are_no_right_handed_frame_are_refused(axes):
    with pytest.raises(ValidationError, match="are not a right-handed frame"):
        DataSource(slot="gr1", wrist_axes=axes)
