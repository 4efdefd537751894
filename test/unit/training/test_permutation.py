"""A computed order is a permutation at every size, and passes for random.

pytest test/unit/training/test_permutation.py
"""

import numpy as np
import pytest

from dial_core.training.permutation import Permutation


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 97, 1000, 4097])
def test_every_row_has_one_place(size):
    order = Permutation(size, (5, 1))
    assert sorted(order(place) for place in range(size)) == list(range(size))


def test_seeds_give_different_orders_and_one_seed_the_same():
    orders = [[Permutation(500, seed)(place) for place in range(500)] for seed in ((1, 0), (1, 1), (1, 0))]
    assert orders[0] == orders[2] != orders[1]
    assert sum(one == other for one, other in zip(*orders[:2], strict=True)) < 10


def test_rows_are_even_over_places_and_neighbours_are_independent():
    size = 10_007
    rows = np.array([Permutation(size, (seed,))(place) for seed in range(2) for place in range(size)]).reshape(2, size) / size
    assert np.abs(np.corrcoef(np.vstack([rows, np.roll(rows, 1, 1), np.arange(size) / size])) - np.eye(5)).max() < 0.05
    quarters = np.histogram2d(rows[:, :-1].ravel(), rows[:, 1:].ravel(), bins=8)[0]
    assert ((quarters - quarters.mean()) ** 2 / quarters.mean()).sum() < 120  # chi square of 63 degrees of freedom: 1 in 10^5


def test_rows_of_a_small_order_come_first_equally_often():
    first = np.bincount([Permutation(6, (seed,))(0) for seed in range(3000)], minlength=6)
    assert first.min() > 430
    assert first.max() < 570


def test_a_place_is_found_at_once_however_many_rows_there_are():
    order = Permutation(10**15, (3,))
    assert len({order(place) for place in range(100)}) == 100
