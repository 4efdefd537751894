import numpy as np

from dial_core.datasets.statistics import merge, statistics_of


def test_statistics_of_parts_equal_those_of_the_whole():
    vectors = np.random.default_rng(0).normal(3.0, 2.0, (50, 4))
    whole, merged = statistics_of(vectors), merge([statistics_of(vectors[:13]), statistics_of(vectors[13:])])
    for name in ("mean", "std", "minimum", "maximum"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name))
    assert merged.count == 50
