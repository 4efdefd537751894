"""Mean, spread, range and quantiles of vectors and images, gathered episode by episode: what LeRobot keeps in `stats.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
PIECE = 50_000  # rows in memory at a time


@dataclass(frozen=True)
class Statistics:
    """Per dimension (A,): `mean`, `std`, `minimum`, `maximum` in physical units, over `count` vectors.

    `quantiles`: (len(QUANTILES), A). Of merged parts they are the mean of the parts' own by count, as LeRobot merges them.
    """

    mean: np.ndarray
    std: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    quantiles: np.ndarray
    count: int

    def as_lerobot(self, image: bool = False) -> dict[str, list]:
        """The entry of one feature in `meta/stats.json`; those of an image have the shape (channels, 1, 1)."""
        values = {"min": self.minimum, "max": self.maximum, "mean": self.mean, "std": self.std}
        values |= dict(zip(QUANTILES, self.quantiles, strict=True))
        shaped = {name: value.reshape(-1, 1, 1) if image else value for name, value in values.items()}
        return {name: value.tolist() for name, value in shaped.items()} | {"count": [self.count]}


def statistics_of(vectors: np.ndarray) -> Statistics:
    """Statistics over the first axis of (T, A), in float64; beside the vectors a column, or some rows, are in memory at a time."""
    count, shares = len(vectors), list(QUANTILES.values())
    mean = sum(piece.sum(0) for piece in _pieces(vectors)) / count
    std = np.sqrt(sum(np.square(piece - mean).sum(0) for piece in _pieces(vectors)) / count)
    lowest, highest = (np.asarray(ends, np.float64) for ends in (vectors.min(0), vectors.max(0)))
    quantiles = np.stack([np.quantile(column.astype(np.float64), shares) for column in vectors.T], 1)
    return Statistics(mean, std, lowest, highest, quantiles, count)


def _pieces(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), PIECE):
        yield np.asarray(vectors[start : start + PIECE], np.float64)


def image_statistics(frames: Iterable[np.ndarray]) -> Statistics:
    """Statistics of each channel of K frames, uint8 (H, W, 3) each, as shares of white in [0, 1]; `count` is K, at least 1."""
    counts, number = np.zeros((256, 3), np.int64), 0
    for frame in frames:  # one in memory at a time
        counts += np.stack([np.bincount(frame[..., channel].ravel(), minlength=256) for channel in range(3)], 1)
        number += 1
    levels, total = np.arange(256) / 255.0, counts.sum(0)
    mean = levels @ counts / total
    std = np.sqrt(np.maximum(levels**2 @ counts / total - mean**2, 0.0))
    seen = counts > 0
    cumulative = counts.cumsum(0) / total
    quantiles = np.stack([levels[(cumulative >= share).argmax(0)] for share in QUANTILES.values()])
    return Statistics(mean, std, levels[seen.argmax(0)], levels[255 - seen[::-1].argmax(0)], quantiles, number)


def merge(parts: list[Statistics]) -> Statistics:
    """Statistics of the union of the parts' vectors; equal to computing them at once, but for the quantiles."""
    weights = np.array([part.count for part in parts], np.float64)[:, None] / sum(part.count for part in parts)
    mean = (weights * np.stack([part.mean for part in parts])).sum(0)
    second = (weights * np.stack([part.std**2 + part.mean**2 for part in parts])).sum(0)
    return Statistics(
        mean,
        np.sqrt(np.maximum(second - mean**2, 0.0)),
        np.min([part.minimum for part in parts], 0),
        np.max([part.maximum for part in parts], 0),
        (weights[..., None] * np.stack([part.quantiles for part in parts])).sum(0),
        sum(part.count for part in parts),
    )
