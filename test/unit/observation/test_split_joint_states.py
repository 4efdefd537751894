"""Joint states of several broadcasters make a whole one, with a bounded age of every joint; nothing missing is filled in."""

from types import SimpleNamespace

import numpy as np
import pytest

from dial_core.observation.readings import UnreadableMessageError
from dial_core.observation.split_joint_states import SplitJointStates

MS = 1_000_000


def message(**positions):
    return SimpleNamespace(name=list(positions), position=np.array(list(positions.values()), dtype=np.float64))


@pytest.fixture
def states():
    return SplitJointStates(("a", "b", "c"), gap_s=0.05)


def test_parts_make_a_whole_state_in_the_order_of_the_robot(states):
    assert states.take(100 * MS, message(c=3.0, a=1.0)) is None
    assert states.lacking == ("b",)
    assert states.take(120 * MS, message(b=2.0, wheel=9.0)).tolist() == [1.0, 2.0, 3.0]
    assert states.lacking == ()
    assert states.reported == ["a", "b", "c", "wheel"]
    assert states.take(130 * MS, message(a=1.5, c=3.5)).tolist() == [1.5, 2.0, 3.5]


def test_a_joint_that_is_too_old_makes_the_state_incomplete_and_is_named(states):
    states.take(100 * MS, message(a=1.0, c=3.0))
    states.take(100 * MS, message(b=2.0))
    assert states.take(150 * MS, message(b=2.1)) is not None
    assert states.take(151 * MS, message(b=2.2)) is None
    assert states.lacking == ("a", "c")
    assert states.take(155 * MS, message(a=1.1, c=3.1)) is not None


def test_a_part_that_was_overtaken_by_another_broadcasters_is_taken_and_the_state_keeps_the_newest_stamp(states):
    states.take(100 * MS, message(a=1.0, b=2.0))
    assert states.take(92 * MS, message(c=3.0)).tolist() == [1.0, 2.0, 3.0]
    assert states.newest_ns == 100 * MS
    assert states.take(95 * MS, message(a=0.5)).tolist() == [1.0, 2.0, 3.0], "an older position of the same joint"
    assert states.take(110 * MS, message(a=1.1, b=2.1)).tolist() == [1.1, 2.1, 3.0]
    assert states.take(150 * MS, message(a=1.2, b=2.2)) is None, "`c` is of 92 ms"


def test_a_message_of_other_joints_changes_nothing(states):
    states.take(100 * MS, message(a=1.0, b=2.0, c=3.0))
    assert states.take(900 * MS, message(wheel=1.0)) is None
    assert states.lacking == ()


def test_after_the_clock_went_back_old_positions_do_not_count(states):
    states.take(9000 * MS, message(a=1.0, b=2.0, c=3.0))
    assert states.take(10 * MS, message(a=1.0)) is None
    assert states.lacking == ("b", "c")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_position_that_is_not_finite_is_refused(states, bad):
    with pytest.raises(UnreadableMessageError, match="not finite"):
        states.take(100 * MS, message(a=bad))


def test_a_joint_named_twice_is_refused(states):
    twice = SimpleNamespace(name=["a", "a"], position=np.array([1.0, 2.0]))
    with pytest.raises(UnreadableMessageError, match="twice"):
        states.take(100 * MS, twice)
