import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dial_core.evaluation.reports import intervals
from dial_core.evaluation.reports.intervals import (
    clustered_interval,
    compare_over_seeds,
    compare_paired,
    mcnemar_p,
    sign_flip_p,
    wilson_interval,
)


def test_wilson_interval_equals_published_values():
    assert wilson_interval(85, 100) == pytest.approx((0.7672, 0.9069), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_clusters_widen_the_interval_only_where_their_outcomes_hang_together():
    alike = [[True] * 10] * 30 + [[False] * 10] * 10
    independent = [[k % 4 != 0] for k in range(400)]
    wilson = wilson_interval(300, 400)
    assert clustered_interval(independent) == pytest.approx(wilson, abs=0.01)
    assert clustered_interval(alike) == pytest.approx(wilson_interval(30, 40), abs=0.03)
    assert clustered_interval([]) == clustered_interval([[]]) == (0.0, 1.0)


def test_seeds_that_are_all_alike_count_as_one_scene_each():
    assert clustered_interval([[True, True]] * 12) == pytest.approx(wilson_interval(12, 12))
    assert clustered_interval([[True, False, False]] * 12) == pytest.approx(wilson_interval(4, 12))
    assert clustered_interval([[True, True], [True], []]) == pytest.approx(wilson_interval(2, 2))
    assert clustered_interval([[False] * 24]) == pytest.approx(wilson_interval(0, 1))
    for gain in (False, True):  # a difference that is the same in every seed has no interval, and not one of no width
        assert compare_over_seeds([0, 0, 1, 2], [False] * 4, [gain] * 4).interval is None


def test_the_interval_over_ten_seeds_covers_the_rate_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 800)
    rng = np.random.default_rng(3)

    def rates(size: int) -> np.ndarray:  # of seeds, some of which are harder in all of their tasks
        return 1 / (1 + np.exp(-(np.log(0.9 / 0.1) + rng.normal(0.0, 0.5, size))))

    true, covered = rates(200_000).mean(), []
    for _ in range(1500):
        outcomes = rng.random((10, 24)) < rates(10)[:, None]
        low, high = clustered_interval(outcomes.tolist())
        covered.append(low <= true <= high)
    assert np.mean(covered) > 0.92  # the plain percentile bootstrap: 0.90


def test_intervals_over_seeds_stay_where_rates_and_differences_can_be():
    seeds = [seed for seed in range(10) for _ in range(6)]
    low, high = clustered_interval([[seed > 0] * 6 for seed in range(10)])
    assert 0.0 < low < 0.9 < high == 1.0
    interval = compare_over_seeds(seeds, [False] * 60, [seed > 0 for seed in seeds]).interval
    assert interval is not None
    assert interval[1] == 1.0
    assert compare_over_seeds(seeds, [seed > 0 for seed in seeds], [False] * 60).interval == (-1.0, pytest.approx(-interval[0]))


def test_mcnemars_p_is_the_binomial_tail_of_the_scenes_that_differ():
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(1, 0) == 1.0
    assert mcnemar_p(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar_p(2, 8) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert mcnemar_p(8, 2) == mcnemar_p(2, 8)


def test_pairs_are_counted_by_who_succeeded():
    first = [True] * 40 + [True] * 5 + [False] * 15 + [False] * 40
    second = [True] * 40 + [False] * 5 + [True] * 15 + [False] * 40
    paired = compare_paired(first, second)
    assert (paired.both, paired.only_first, paired.only_second, paired.neither) == (40, 5, 15, 40)
    assert paired.difference == pytest.approx(0.10)
    # (15 - 5)/102 -+ 1.96 sqrt(21 - 100/102)/102
    assert paired.interval == pytest.approx((0.0120, 0.1841), abs=1e-3)
    assert paired.p_value == pytest.approx(0.0414, abs=1e-4)


def test_equal_policies_do_not_differ_and_an_empty_comparison_says_nothing():
    same = compare_paired([True, False] * 10, [True, False] * 10)
    assert (same.difference, same.p_value) == (0.0, 1.0)
    assert same.interval[0] < 0 < same.interval[1]
    assert compare_paired([], []).p_value == 1.0


def test_the_sign_flip_test_counts_all_choices_of_signs():
    assert sign_flip_p([]) == sign_flip_p([0, 0]) == sign_flip_p([3, -3]) == 1.0
    assert sign_flip_p([1] * 5) == pytest.approx(2 / 2**5)
    assert sign_flip_p([3, 2, -1]) == pytest.approx(4 / 8)  # at least 4 away from zero: +++, ++-, and their mirrors
    assert sign_flip_p([-3, -2, 1]) == sign_flip_p([3, 2, -1])
    assert sign_flip_p([2] * 100) == pytest.approx(2 / 2**100)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
def test_with_one_scene_a_seed_the_test_over_seeds_is_mcnemars(pairs):
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    assert compare_over_seeds(range(len(pairs)), first, second).p_value == pytest.approx(compare_paired(first, second).p_value)


def test_scenes_that_hang_together_over_seeds_show_less():
    seeds = [seed for seed in range(10) for _ in range(6)]
    first, second = [False] * 60, [seed < 2 for seed in seeds]  # two seeds of ten, with all their scenes
    assert compare_paired(first, second).p_value < 0.001
    over = compare_over_seeds(seeds, first, second)
    assert (over.seeds, over.p_value) == (10, 0.5)
    assert over.interval is not None
    assert over.interval[0] < 0.0 < compare_paired(first, second).interval[0]
