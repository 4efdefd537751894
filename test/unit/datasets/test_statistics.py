import tracemalloc

import numpy as np

from dial_core.datasets import statistics
from dial_core.datasets.statistics import QUANTILES, merge, statistics_of


def test_statistics_of_parts_equal_those_of_the_whole():
    vectors = np.random.default_rng(0).normal(3.0, 2.0, (50, 4))
    whole, merged = statistics_of(vectors), merge([statistics_of(vectors[:13]), statistics_of(vectors[13:])])
    for name in ("mean", "std", "minimum", "maximum"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name))
    assert merged.count == 50


def test_statistics_of_many_vectors_are_exact_and_need_no_copy_of_them(monkeypatch):
    monkeypatch.setattr(statistics, "PIECE", 1000)
    vectors = np.random.default_rng(0).normal(3.0, 2.0, (20_500, 40)).astype(np.float32)
    tracemalloc.start()
    found = statistics_of(vectors)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < vectors.nbytes / 2
    values = vectors.astype(np.float64)
    for name, expected in {"mean": values.mean(0), "std": values.std(0), "minimum": values.min(0), "maximum": values.max(0)}.items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12)
    np.testing.assert_array_equal(found.quantiles, np.quantile(values, list(QUANTILES.values()), axis=0))
