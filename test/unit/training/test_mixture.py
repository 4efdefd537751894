from collections import Counter

import pytest

from dial_core.errors import DialError
from dial_core.training.mixture import Mixture


def test_every_row_comes_once_before_any_comes_twice():
    mixture = Mixture({"a": 70}, {"a": 1}, seed=3)
    rows = [mixture.draw(number)[1] for number in range(210)]
    assert sorted(rows[:70]) == sorted(rows[70:140]) == sorted(rows[140:]) == list(range(70))
    assert rows[:70] != rows[70:140]


def test_weights_are_met_exactly_and_independently_of_sizes():
    mixture = Mixture({"robot": 50, "human": 5000, "other": 7}, {"robot": 2, "human": 1}, seed=0)
    counts = Counter(mixture.draw(number)[0] for number in range(3000))
    assert counts == {0: 2001, 1: 999}


def test_rows_of_every_dataset_are_evenly_used_in_a_mixture():
    mixture = Mixture({"a": 10, "b": 30}, {"a": 1, "b": 1}, seed=1)
    rows = Counter(draw for draw in map(mixture.draw, range(6000)))
    assert {rows[0, row] for row in range(10)} == {300}
    assert {rows[1, row] for row in range(30)} == {100}


def test_draws_do_not_depend_on_what_was_drawn_before():
    first, second = Mixture({"a": 99, "b": 5}, {"a": 1, "b": 3}, 7), Mixture({"a": 99, "b": 5}, {"a": 1, "b": 3}, 7)
    ahead = [first.draw(number) for number in range(5000)]
    assert [second.draw(number) for number in reversed(range(4900, 5000))] == ahead[:4899:-1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": -1.0}, "not negative"),
        ({"a": 0.0}, "not all 0"),
        ({"c": 1.0}, "no dataset is named c; there are a, b"),
        ({"b": 1.0}, "b has no frames"),
    ],
)
def test_a_mixture_that_cannot_be_drawn_is_refused(weights, message):
    with pytest.raises(DialError, match=message):
        Mixture({"a": 4, "b": 0}, weights, 0)
