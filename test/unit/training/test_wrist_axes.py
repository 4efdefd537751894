"""Other axes for recorded wrists: a change of the frame that the hand carries, and of nothing else.

pytest test/unit/training/test_wrist_axes.py
"""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from dial_core.training.recipe import DataSource
from dial_core.training.wrist_axes import with_wrist_axes


def vectors(rotations: np.ndarray) -> np.ndarray:
    """(n, 47) with the two wrists' rotations (n, 2, 3, 3)."""
    rows = np.random.default_rng(0).normal(size=(len(rotations), 47)).astype(np.float32)
    rows[:, 3:9], rows[:, 12:18] = (rotations[:, wrist, :, :2].transpose(0, 2, 1).reshape(-1, 6) for wrist in range(2))
    return rows


def test_both_wrists_turn_about_the_named_axes_and_the_rest_stays():
    recorded = Rotation.random(10, random_state=1).as_matrix().reshape(5, 2, 3, 3)
    x, y, z = np.moveaxis(recorded, -1, 0)
    expected = np.stack([y, -x, z], -1)
    np.testing.assert_allclose(with_wrist_axes(vectors(recorded), ("y", "-x", "z")), vectors(expected), atol=1e-6)


def test_four_quarter_turns_are_none_and_the_given_vectors_are_not_changed():
    rows = vectors(Rotation.random(4, random_state=2).as_matrix().reshape(2, 2, 3, 3))
    kept, turned = rows.copy(), rows
    for _ in range(4):
        turned = with_wrist_axes(turned, ("y", "-x", "z"))
    np.testing.assert_allclose(turned, rows, atol=1e-5)
    np.testing.assert_array_equal(rows, kept)


@pytest.mark.parametrize("axes", [("x", "y", "-z"), ("x", "x", "z"), ("y", "x", "z")])
def test_axes_that_are_no_right_handed_frame_are_refused(axes):
    with pytest.raises(ValidationError, match="are not a right-handed frame"):
        DataSource(slot="gr1", wrist_axes=axes)
