"""The normaliser of an embodiment from recorded vectors, and warnings about dimensions that are idle or have outliers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from dial_core.model.normalise import SPREAD_FLOOR, Normaliser, StateEncoding, rotation_dimensions

Kind = Literal["mean_std", "quantiles"]
QUANTILE_ROWS = 500_000
_LOW, _HIGH = 0.01, 0.99
_PIECE = 50_000  # rows in memory at a time
_FAR = 20.0  # spreads from the middle at which a value is more likely a fault than a motion


class Rows(Protocol):
    """Vectors (F, D) of which a slice of rows is an array: an array, a memory map, or what is converted as it is read."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class CountedRows:
    """Rows (F, D) with NaN, which the statistics leave out, where `mask` (F, D) is not 1."""

    rows: Rows
    mask: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        values, counts = self.rows[rows], self.mask[rows] == 1
        return values if counts.all() else np.where(counts, values, np.float32(np.nan))


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


def scaling_of(*vectors: Rows, kind: Kind = "mean_std") -> Scaling:
    """Centre, spread and usual range of (F, D) values, of several arrays together. Arrays may be memory maps of any length."""
    return Scaling(*centre_and_spread(*vectors, kind=kind), *usual_range(*vectors))


def centre_and_spread(*vectors: Rows, kind: Kind = "mean_std") -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,), or with `quantiles` the middle and half the width of the usual range.

    Quantiles ignore what a few wild frames do to a spread; mean and deviation are what the release uses.
    """
    if kind == "mean_std":
        return mean_and_spread(*vectors)
    low, high = usual_range(*vectors)
    return (low + high) / 2, (high - low) / 2


def usual_range(*vectors: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The 1 % and 99 % quantiles (D,), of at most `QUANTILE_ROWS` evenly spaced rows; NaN is left out."""
    step = -(-sum(map(len, vectors)) // QUANTILE_ROWS)
    values = np.concatenate([rows[::step] for rows in vectors])
    absent = np.isnan(values)
    if not absent.any():
        low, high = np.quantile(values, [_LOW, _HIGH], axis=0)
        return low, high
    kept = [column[~left_out] for column, left_out in zip(values.T, absent.T, strict=True)]
    low, high = np.array([np.quantile(column, [_LOW, _HIGH]) if len(column) else [np.nan, np.nan] for column in kept]).T
    return low, high


def mean_and_spread(*vectors: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,) of (F, D) values, of several arrays together, in float64, one piece in memory at a time.

    NaN is left out; where nothing else is, both are NaN.
    """
    count = sum(np.isfinite(piece).sum(0) for piece in _pieces(vectors))
    count = np.where(count > 0, count, np.nan)
    mean = sum(_sum(piece) for piece in _pieces(vectors)) / count
    squares = sum(_sum(np.square(piece - mean)) for piece in _pieces(vectors))
    return mean, np.sqrt(squares / count)


def _sum(piece: np.ndarray) -> np.ndarray:
    """Of the rows in float64, NaN left out."""
    absent = np.isnan(piece)
    return (np.where(absent, 0, piece) if absent.any() else piece).sum(0, dtype=np.float64)


def _pieces(vectors: Sequence[Rows]) -> Iterator[np.ndarray]:
    for rows in vectors:
        for start in range(0, len(rows), _PIECE):
            yield rows[start : start + _PIECE]


def fit_normaliser(
    states: Sequence[Rows],
    actions: Sequence[Rows],
    kind: Kind = "mean_std",
    state_encoding: StateEncoding = "raw",
    parts: tuple[int, ...] = (),
    action_masks: Sequence[Rows | None] = (),
) -> Normaliser:
    """The normaliser of one embodiment from the vectors (F, D) of all its datasets; 6D rotations stay as they are.

    Args:
        parts: of its joints, whose sines stand before their cosines; see `Normaliser`.
        action_masks: of each dataset, 1 where an action counts (None: everywhere): what a masked dimension holds is no motion.
    """
    counted = [
        values if mask is None else CountedRows(values, mask)
        for values, mask in zip(actions, action_masks or [None] * len(actions), strict=True)
    ]
    state_centre, state_spread = centre_and_spread(*states, kind=kind)
    action_centre, action_spread = centre_and_spread(*counted, kind=kind)
    if (never := np.isnan(action_centre)).any():  # counts in no row: any statistics will do that keep its numbers small
        centre, spread = centre_and_spread(*actions, kind=kind)
        action_centre, action_spread = np.where(never, centre, action_centre), np.where(never, spread, action_spread)
    raw = rotation_dimensions(len(state_centre))
    return Normaliser(state_centre, state_spread, action_centre, action_spread, raw, state_encoding=state_encoding, parts=parts)


def warnings_about(vectors: np.ndarray, what: str, names: Sequence[str]) -> list[str]:
    """Warnings to read before training on (F, D) values: idle dimensions, and values far outside the usual range."""
    scaling = scaling_of(vectors)
    raw = rotation_dimensions(vectors.shape[1])
    named = [names[index] if index < len(names) else str(index) for index in range(vectors.shape[1])]
    idle = [name for name, still, rotation in zip(named, scaling.idle, raw, strict=True) if still and not rotation]
    found = [f"{what}: {len(idle)} dimensions hardly move and are divided by {SPREAD_FLOOR}: {', '.join(idle)}"] if idle else []
    width = np.maximum((scaling.high - scaling.low) / 2, SPREAD_FLOOR)
    middle = (scaling.low + scaling.high) / 2
    reach = np.maximum(vectors.max(0) - middle, middle - vectors.min(0)) / width
    return found + [
        f"{what}: {named[index]} strays to {reach[index]:.0f} times its usual range; `normalisation: quantiles` is not moved by it"
        for index in np.flatnonzero((reach > _FAR) & ~raw)
    ]
