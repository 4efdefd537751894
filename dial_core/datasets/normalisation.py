"""The normaliser of an embodiment from recorded vectors, and warnings about dimensions that are idle or have outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dial_core.model.normalise import SPREAD_FLOOR, Normaliser, StateEncoding, rotation_dimensions

Kind = Literal["mean_std", "quantiles"]
_LOW, _HIGH = 0.01, 0.99
_FAR = 20.0  # spreads from the middle at which a value is more likely a fault than a motion


@dataclass(frozen=True)
class Scaling:
    """Centre, spread and 1..99 % range of each dimension (D,), physical units. `spread` is before any floor."""

    centre: np.ndarray
    spread: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def idle(self) -> np.ndarray:
        """True (D,) where the data hardly moves: divided by the floor of 0.01 instead of its own spread."""
        return self.spread < SPREAD_FLOOR


def scaling_of(vectors: np.ndarray, kind: Kind = "mean_std") -> Scaling:
    """Centre and spread of (F, D) values: mean and standard deviation, or middle and half the width of their 1..99 % range.

    Quantiles ignore what a few wild frames do to a spread; mean and deviation are what the release uses.
    """
    low, high = np.quantile(vectors, [_LOW, _HIGH], axis=0)
    if kind == "quantiles":
        return Scaling((low + high) / 2, (high - low) / 2, low, high)
    values = vectors.astype(np.float64)
    return Scaling(values.mean(0), values.std(0), low, high)


def fit_normaliser(
    states: Sequence[np.ndarray], actions: Sequence[np.ndarray], kind: Kind = "mean_std", state_encoding: StateEncoding = "raw"
) -> Normaliser:
    """The normaliser of one embodiment from the vectors (F, D) of all its datasets; 6D rotations stay as they are."""
    state, action = scaling_of(np.concatenate(states), kind), scaling_of(np.concatenate(actions), kind)
    raw = rotation_dimensions(len(state.centre))
    return Normaliser(state.centre, state.spread, action.centre, action.spread, raw, state_encoding=state_encoding)


def warnings_about(vectors: np.ndarray, what: str, names: Sequence[str]) -> list[str]:
    """Warnings to read before training on (F, D) values: idle dimensions, and values far outside the usual range."""
    scaling = scaling_of(vectors)
    raw = rotation_dimensions(vectors.shape[1])
    named = [names[index] if index < len(names) else str(index) for index in range(vectors.shape[1])]
    idle = [name for name, still, rotation in zip(named, scaling.idle, raw, strict=True) if still and not rotation]
    found = [f"{what}: {len(idle)} dimensions hardly move and are divided by {SPREAD_FLOOR}: {', '.join(idle)}"] if idle else []
    width = np.maximum((scaling.high - scaling.low) / 2, SPREAD_FLOOR)
    reach = np.abs(vectors - (scaling.low + scaling.high) / 2).max(0) / width
    return found + [
        f"{what}: {named[index]} strays to {reach[index]:.0f} times its usual range; `normalisation: quantiles` is not moved by it"
        for index in np.flatnonzero((reach > _FAR) & ~raw)
    ]
