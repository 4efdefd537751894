"""Images of latent foresight: PCA colours of its tokens and the change map against the current view (paper Fig. 12)."""

from collections.abc import Sequence
from math import isqrt
from typing import Self

import numpy as np
from sklearn.decomposition import PCA

from dial_core.errors import DialError


def square_grid(tokens: int) -> int:
    """Side of the square patch grid that `tokens` image tokens come from (36 -> 6)."""
    side = isqrt(tokens)
    if side * side != tokens:
        raise DialError(f"{tokens} image tokens do not form a square grid")
    return side


class PcaColours:
    """One basis that turns image tokens into RGB, so that images made with it can be compared."""

    def __init__(self, pca: PCA, low: np.ndarray, high: np.ndarray) -> None:
        self._pca, self._low, self._high = pca, low, high

    @classmethod
    def fit(cls, tokens: Sequence[np.ndarray]) -> Self:
        """A basis from several views' tokens, each (N, D): the three directions in which they vary most."""
        stacked = np.concatenate([np.asarray(view, dtype=np.float32) for view in tokens])
        pca = PCA(n_components=3, svd_solver="full").fit(stacked)
        coordinates = pca.transform(stacked)
        # The 1st and 99th percentile span the colour range: one odd patch must not turn the rest grey.
        low, high = np.percentile(coordinates, [1, 99], axis=0)
        return cls(pca, low, np.maximum(high, low + 1e-6))

    def colours(self, tokens_ND: np.ndarray) -> np.ndarray:
        """RGB of each patch: tokens (N, D) -> uint8 (side, side, 3)."""
        side = square_grid(len(tokens_ND))
        coordinates = self._pca.transform(np.asarray(tokens_ND, dtype=np.float32))
        scaled = np.clip((coordinates - self._low) / (self._high - self._low), 0, 1)
        return (255 * scaled).round().astype(np.uint8).reshape(side, side, 3)


def change_map(foresight_ND: np.ndarray, current_ND: np.ndarray) -> np.ndarray:
    """Where the foresight expects change: 1 - cosine similarity per patch, clipped to [0, 1]: (side, side) float32."""
    a, b = np.asarray(foresight_ND, np.float64), np.asarray(current_ND, np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    similarity = np.sum(a * b, axis=1) / np.maximum(norms, 1e-12)
    side = square_grid(len(a))
    return np.clip(1 - similarity, 0, 1).astype(np.float32).reshape(side, side)


def heat(values: np.ndarray, full_scale: float) -> np.ndarray:
    """A scalar map (h, w) as uint8 (h, w, 3) in the `magma` colours; `full_scale` is the value of the brightest one."""
    from matplotlib import colormaps  # slow to import, and only images need it

    return (255 * colormaps["magma"](np.clip(values / max(full_scale, 1e-6), 0, 1))[..., :3]).astype(np.uint8)
