"""Which sample of which dataset is drawn as number k: a pure function of the seed and k.

So a run is the same whoever draws: one process or 64, with or without worker processes, from the start or resumed at any
step; and what a run drew when something went wrong can be drawn again. A draw costs the same for a thousand rows and for a billion.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from dial_core.errors import DialError
from dial_core.training.permutation import Permutation

_BLOCK = 1000  # draws in which every weight is met to the nearest sample


class Mixture:
    """Draws rows of several datasets by weight; each dataset in random order, every row once before any comes twice."""

    def __init__(self, sizes: Mapping[str, int], weights: Mapping[str, float], seed: int) -> None:
        """
        Args:
            sizes: rows of each dataset.
            weights: share of the draws, relative to each other; a dataset of weight 0 is never drawn.
            seed: of all draws.

        Raises:
            DialError: no rows, or weights that are negative, all zero or of unknown datasets.
        """
        self.names, self.seed = tuple(sizes), seed
        self.sizes = np.array([sizes[name] for name in self.names])
        values = np.array([float(weights.get(name, 0.0)) for name in self.names])
        if unknown := sorted(set(weights) - set(sizes)):
            raise DialError(f"mixture: no dataset is named {', '.join(unknown)}; there are {', '.join(self.names)}")
        if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
            raise DialError(f"mixture: weights must be finite, not negative and not all 0, got {dict(weights)}")
        empty = [name for name, size, value in zip(self.names, self.sizes, values, strict=True) if value > 0 and size == 0]
        if empty:
            raise DialError(f"mixture: {', '.join(empty)} has no frames")
        self.shares = values / values.sum()
        self.quotas = _quotas(self.shares)
        self._pattern = lru_cache(4)(self._block_pattern)
        self._order = lru_cache(2 * len(self.names))(self._shuffled)

    def draw(self, number: int) -> tuple[int, int]:
        """(index of the dataset, row in it) of draw `number`."""
        block, place = divmod(number, _BLOCK)
        source = int(self._pattern(block)[place])
        before = int((self._pattern(block)[:place] == source).sum())
        epoch, position = divmod(block * int(self.quotas[source]) + before, int(self.sizes[source]))
        return source, self._order(source, epoch)(position)

    def _block_pattern(self, block: int) -> np.ndarray:
        pattern = np.repeat(np.arange(len(self.names)), self.quotas)
        return np.random.default_rng((self.seed, 0, block)).permutation(pattern)

    def _shuffled(self, source: int, epoch: int) -> Permutation:
        return Permutation(int(self.sizes[source]), (self.seed, 1, source, epoch))


def draw_stream(seed: int, number: int) -> np.random.Generator:
    """The random numbers of draw `number`: augmentation, noise, tau."""
    return np.random.default_rng((seed, 2, number))


def _quotas(shares: np.ndarray) -> np.ndarray:
    """Draws of each dataset in a block, by largest remainders; a positive share gets at least one."""
    exact = shares * _BLOCK
    quotas = np.where(shares > 0, np.maximum(np.floor(exact), 1), 0).astype(int)
    remainders = np.argsort(-(exact - quotas), kind="stable")
    for place in range(_BLOCK - quotas.sum()):
        quotas[remainders[place % len(quotas)]] += 1
    while quotas.sum() > _BLOCK:
        quotas[quotas.argmax()] -= 1
    return quotas
