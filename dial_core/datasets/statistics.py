"""Mean, spread and range of vectors, gathered part by part: what LeRobot keeps in `stats.json`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Statistics:
    """Per dimension (A,): `mean`, `std`, `minimum`, `maximum` in physical units, over `count` vectors."""

    mean: np.ndarray
    std: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    count: int

    def as_lerobot(self) -> dict[str, list]:
        """The entry of one feature in `meta/stats.json`."""
        return {
            "min": self.minimum.tolist(),
            "max": self.maximum.tolist(),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "count": [self.count],
        }


def statistics_of(vectors: np.ndarray) -> Statistics:
    """Statistics over the first axis of (T, A)."""
    values = np.asarray(vectors, np.float64)
    return Statistics(values.mean(0), values.std(0), values.min(0), values.max(0), len(values))


def merge(parts: list[Statistics]) -> Statistics:
    """Statistics of the union of the parts' vectors (equal to computing them at once)."""
    weights = np.array([part.count for part in parts], np.float64)[:, None] / sum(part.count for part in parts)
    mean = (weights * np.stack([part.mean for part in parts])).sum(0)
    second = (weights * np.stack([part.std**2 + part.mean**2 for part in parts])).sum(0)
    return Statistics(
        mean,
        np.sqrt(np.maximum(second - mean**2, 0.0)),
        np.min([part.minimum for part in parts], 0),
        np.max([part.maximum for part in parts], 0),
        sum(part.count for part in parts),
    )
