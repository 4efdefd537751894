"""pytest test/unit/core/test_viz.py"""

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.viz import PcaColours, change_map, heat


def test_no_change_is_zero_and_a_turned_patch_stands_out():
    current = np.random.default_rng(0).normal(size=(36, 8))
    foresight = current.copy()
    foresight[7] = -foresight[7]
    change = change_map(foresight, current)
    assert change.shape == (6, 6)
    assert change[1, 1] == 1.0
    assert np.delete(change.ravel(), 7) == pytest.approx(0, abs=1e-6)


def test_equal_tokens_have_equal_colours_in_one_basis():
    rng = np.random.default_rng(0)
    views = [rng.normal(size=(36, 8)) for _ in range(2)]
    views[1][3] = views[0][20]
    basis = PcaColours.fit(views)
    first, second = basis.colours(views[0]), basis.colours(views[1])
    assert first.shape == (6, 6, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(second.reshape(-1, 3)[3], first.reshape(-1, 3)[20])
    assert first.std() > 20


def test_tokens_that_form_no_square_are_refused():
    with pytest.raises(DialError, match="35"):
        change_map(np.ones((35, 4)), np.ones((35, 4)))


def test_heat_is_dark_at_zero_and_bright_at_full_scale():
    heat_map = heat(np.array([[0.0, 0.5]]), full_scale=0.5)
    assert heat_map[0, 0].mean() < 10
    assert heat_map[0, 1].mean() > 180
