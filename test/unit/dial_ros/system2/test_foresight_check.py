"""What System-2 expected against what it sees one horizon later.

pytest test/unit/dial_ros/system2/test_foresight_check.py
"""

import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS
from dial_ros.system2.foresight_check import ForesightCheck, cosine_distance

UP, ASIDE = np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 3.0]])


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


@pytest.fixture
def check():
    return ForesightCheck(horizon_s=0.8, tolerance_s=0.1)


def test_equal_directions_have_no_distance_and_unrelated_ones_have_one():
    assert cosine_distance(UP, 5 * UP) == pytest.approx(0.0)
    assert cosine_distance(UP, ASIDE) == pytest.approx(1.0)
    assert cosine_distance(UP, np.zeros_like(UP)) == pytest.approx(1.0)  # no division by zero


def test_a_foresight_that_came_true_has_no_error_although_the_view_changed(check):
    assert check.note(at(1.0), ASIDE, UP, "a") is None
    assert check.note(at(1.4), ASIDE, UP, "a") is None
    found = check.note(at(1.85), UP, ASIDE, "a")
    assert (found.error, found.unchanged) == (pytest.approx(0.0), pytest.approx(1.0))


def test_a_foresight_that_did_not_come_true_is_worse_than_expecting_no_change(check):
    check.note(at(1.0), ASIDE, UP, "a")
    found = check.note(at(1.8), UP, UP, "a")
    assert (found.error, found.unchanged) == (pytest.approx(1.0), pytest.approx(0.0))


def test_the_newest_of_several_due_foresights_counts(check):
    check.note(at(1.0), UP, UP, "a")
    check.note(at(1.05), ASIDE, UP, "a")
    assert check.note(at(1.85), UP, UP, "a").error == pytest.approx(1.0)


def test_a_gap_another_instruction_and_a_clock_that_goes_back_have_no_error(check):
    check.note(at(1.0), UP, UP, "a")
    assert check.note(at(3.0), UP, UP, "a") is None
    assert check.note(at(3.8), UP, UP, "b") is None
    assert check.note(at(0.5), UP, UP, "b") is None
    assert check.note(at(1.3), UP, UP, "b") is not None
