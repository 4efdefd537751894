"""The statistics of success counts: intervals of one rate, McNemar's test and an interval of a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000  # of the bootstrap
Z_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """The 95 % Wilson score interval of a success rate.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n); (0, 1) without trials.
    """
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    spread = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def clustered_interval(clusters: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of a success rate, resampling whole clusters of outcomes that depend on each other.

    Scenes of one seed share places and objects over tasks. Wilson's interval takes all scenes for independent and is too narrow
    for a rate over many tasks. Without outcomes (0, 1); few clusters, or outcomes that are all alike, make it too narrow as well.
    """
    counts = np.array([[sum(outcomes), len(outcomes)] for outcomes in clusters if outcomes])
    if not len(counts):
        return 0.0, 1.0
    drawn = counts[np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))].sum(1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Paired:
    """Two policies on the same scenes.

    Attributes:
        both, only_first, only_second, neither: scenes by who succeeded.
        difference: success rate of the second minus that of the first.
        interval: 95 % of the difference.
        p_value: of McNemar's exact test; the probability of a split as uneven if both were equally good.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    interval: tuple[float, float]
    p_value: float


def compare_paired(first: Sequence[bool], second: Sequence[bool], z: float = Z_95) -> Paired:
    """Compares outcomes of two policies, `first[i]` and `second[i]` on the same scene.

    Only scenes on which they differ say who is better. The test is McNemar's in its exact binomial form; the interval is
    Agresti and Min's (2005): Wald's after adding half a scene to each of the four counts.
    """
    pairs = list(zip(first, second, strict=True))
    both, neither = pairs.count((True, True)), pairs.count((False, False))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    trials = len(pairs) + 2
    gain, spread = only_second - only_first, only_second + only_first + 1
    centre = gain / trials
    half = z * math.sqrt(spread - gain * gain / trials) / trials
    return Paired(
        both,
        only_first,
        only_second,
        neither,
        difference=gain / len(pairs) if pairs else 0.0,
        interval=(max(-1.0, centre - half), min(1.0, centre + half)),
        p_value=mcnemar_p(only_first, only_second),
    )


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value: min(1, 2 P(X <= min(b, c))) with X ~ Binomial(b + c, 1/2); 1 without a difference."""
    differing = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(differing, k) for k in range(fewer + 1)) / 2**differing
    return min(1.0, 2 * tail)
