"""The statistics of success counts: intervals of one rate, McNemar's test and an interval of a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000  # of the bootstrap
FEWEST_SEEDS = 10  # of which a bootstrap over seeds is shown; of fewer it is too narrow
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
    return _resampled([(sum(outcomes), len(outcomes)) for outcomes in clusters]) or (0.0, 1.0)


def _resampled(clusters: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of sum / number over clusters of (sum, number of outcomes); None without outcomes."""
    counts = np.array([cluster for cluster in clusters if cluster[1]])
    if not len(counts):
        return None
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


@dataclass(frozen=True)
class PairedOverSeeds:
    """Two policies on the same scenes, if seeds, and not scenes, are what is independent (see `clustered_interval`).

    Attributes:
        seeds: how many there are.
        interval: 95 % of the difference of the success rates, by a bootstrap over seeds.
        p_value: of the exact sign-flip test over seeds; the probability of a difference as large if both were equally good.
    """

    seeds: int
    interval: tuple[float, float]
    p_value: float


def compare_over_seeds(seeds: Sequence[int], first: Sequence[bool], second: Sequence[bool]) -> PairedOverSeeds:
    """Compares outcomes of two policies, `first[i]` and `second[i]` on the same scene, of seed `seeds[i]`.

    With one scene a seed the test is McNemar's.
    """
    gains: dict[int, list[int]] = {}
    for seed, one, other in zip(seeds, first, second, strict=True):
        gains.setdefault(seed, []).append(int(other) - int(one))
    interval = _resampled([(sum(gain), len(gain)) for gain in gains.values()]) or (-1.0, 1.0)
    return PairedOverSeeds(len(gains), interval, sign_flip_p([sum(gain) for gain in gains.values()]))


def sign_flip_p(gains: Sequence[int]) -> float:
    """Two-sided exact p-value of the sum of paired `gains`: if both sides are equally good, each gain's sign is as likely the other one.

    The share of all 2^n choices of signs whose sum is at least as far from zero.
    """
    choices = {0: 1}  # how many choices of the signs so far have a sum
    for gain in gains:
        added: dict[int, int] = {}
        for total, count in choices.items():
            for value in (total + gain, total - gain):
                added[value] = added.get(value, 0) + count
        choices = added
    as_far = sum(count for total, count in choices.items() if abs(total) >= abs(sum(gains)))
    return as_far / 2 ** len(gains)
