"""Values that are not finite: how many, where, and what to do.

pytest test/unit/test_finiteness.py
"""

import numpy as np
import pytest

from dial_core.finiteness import DROP_EPISODE, NotFiniteError, require_finite


def test_finite_values_pass():
    require_finite(np.zeros((2, 3)), "chunk")


def test_of_recorded_vectors_the_first_place_is_given():
    vectors = np.zeros((20, 6))
    vectors[[3, 9], 5] = np.nan
    expected = r"^out/set: action: 2 values are not finite, first in frame 3, dimension 5 \(r31\); drop that episode, or record it again$"
    with pytest.raises(NotFiniteError, match=expected):
        require_finite(vectors, "out/set: action", [*"abcde", "r31"], DROP_EPISODE)


def test_of_a_vector_every_wrong_name_is_given():
    with pytest.raises(NotFiniteError, match=r"^joints: 2 of 3 values are not finite: b, c$"):
        require_finite(np.array([0.0, np.nan, np.inf]), "joints", "abc")


def test_without_names_the_first_index_is_given():
    tokens = np.zeros((2, 2, 2), np.float32)
    tokens[0, 1, 0] = -np.inf
    with pytest.raises(NotFiniteError, match=r"^foresight: 1 of 8 values are not finite, first at \[0, 1, 0\]$"):
        require_finite(tokens, "foresight")
