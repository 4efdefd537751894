"""The statistics of success counts: intervals of one rate, McNemar's test and an interval of a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

RESAMPLES = 10_000  # of the bootstrap
FEWEST_SEEDS = 10  # of which an interval over seeds is shown; a bootstrap of fewer is too narrow, however it is widened
Z_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def wilson_interval(successes: float, trials: int, z: float = Z_95) -> tuple[float, float]:
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
    """Returns the 95 % interval of a success rate whose outcomes depend on each other within a cluster, by `bootstrap_interval`.

    Scenes of one seed share places and objects over tasks. Wilson's interval takes all scenes for independent and is too narrow
    for a rate over many tasks. Where all clusters have one rate there is nothing to resample: each then counts as one scene in
    Wilson's interval, which is the widest that the clusters allow. Without outcomes (0, 1).
    """
    filled = [outcomes for outcomes in clusters if len(outcomes)]
    if not filled:
        return 0.0, 1.0
    successes, trials = [sum(outcomes) for outcomes in filled], [len(outcomes) for outcomes in filled]
    interval = bootstrap_interval(successes, trials)
    if interval is None:
        return wilson_interval(len(filled) * sum(successes) / sum(trials), len(filled))
    return max(0.0, interval[0]), min(1.0, interval[1])


def bootstrap_interval(sums: Sequence[float], sizes: Sequence[float]) -> tuple[float, float] | None:
    """Returns the 95 % interval of sum(sums) / sum(sizes) of n independent clusters, resampling whole clusters.

    The percentile bootstrap, both sides widened about the estimate by t / z * sqrt(n / (n - 1)), with the 97.5 % quantiles t of
    Student's distribution of n - 1 degrees of freedom and z of the normal one. The plain one covers 88 to 91 % at ten clusters: its
    spread lacks the correction by n - 1, and its quantiles are those of a known spread. Hesterberg's expanded percentile interval ("What
    teachers should know about the bootstrap", 2015) makes the same corrections to the quantiles. It is not clipped to where the ratio
    can be.

    Returns:
        None where all clusters have one ratio, or there is only one: nothing is known of how far others would be from it.
    """
    ratios = np.array([sums, sizes], float)
    total, count = ratios.sum(1), ratios.shape[1]
    if count < 2 or np.allclose(ratios[0] * total[1], ratios[1] * total[0], rtol=1e-12, atol=0.0):
        return None
    drawn = ratios[:, np.random.default_rng(0).integers(count, size=(RESAMPLES, count))].sum(2)
    drawn = drawn[:, drawn[1] > 0]
    low, high = np.percentile(drawn[0] / drawn[1], [2.5, 97.5])
    widening = float(stdtrit(count - 1, 0.975)) / Z_95 * math.sqrt(count / (count - 1))
    estimate = total[0] / total[1]
    return float(estimate - widening * (estimate - low)), float(estimate + widening * (high - estimate))


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
        interval: 95 % of the difference of the success rates, by `bootstrap_interval` over seeds; None where the difference is the same
            in every seed, which says nothing of others.
        p_value: of the exact sign-flip test over seeds; the probability of a difference as large if both were equally good.
    """

    seeds: int
    interval: tuple[float, float] | None
    p_value: float


def compare_over_seeds(seeds: Sequence[int], first: Sequence[bool], second: Sequence[bool]) -> PairedOverSeeds:
    """Compares outcomes of two policies, `first[i]` and `second[i]` on the same scene, of seed `seeds[i]`.

    With one scene a seed the test is McNemar's.
    """
    gains: dict[int, list[int]] = {}
    for seed, one, other in zip(seeds, first, second, strict=True):
        gains.setdefault(seed, []).append(int(other) - int(one))
    interval = bootstrap_interval([sum(gain) for gain in gains.values()], [len(gain) for gain in gains.values()])
    if interval:
        interval = max(-1.0, interval[0]), min(1.0, interval[1])
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
