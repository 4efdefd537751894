"""Rows of a parquet file by episode, in the order of time, or a reason why they are not evenly spaced in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow

from dial_core.datasets.columns import matrix_of
from dial_core.datasets.image_column import holds_images
from dial_core.datasets.meta_files import read_table
from dial_core.errors import DialError
from dial_core.finiteness import require_finite

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # in which writers store `timestamp`


PLACE = "row of the file"  # a column that `EpisodeTable` adds


class EpisodeTable:
    """A file's rows by episode, in whatever order they lie, without its images. Column `PLACE` numbers them as they lie in the file.

    Attributes:
        file: the parquet file.
    """

    def __init__(self, file: Path) -> None:
        """Raises DialError if the file is missing or broken."""
        self.file = file
        table = read_table(file, lambda field: not holds_images(field.type))
        self._table = table.append_column(PLACE, pyarrow.array(np.arange(len(table))))
        self._rows: dict[int, np.ndarray] = {}
        if "episode_index" in table.column_names and len(table):
            indices = matrix_of(table["episode_index"], "episode_index")[:, 0].astype(np.int64)
            order = np.argsort(indices, kind="stable")
            found, starts = np.unique(indices[order], return_index=True)
            self._rows = dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(found) else {}

    def of(self, index: int, alone: bool = False) -> pyarrow.Table:
        """Rows of episode `index`; `alone`: the file holds one episode, so all of its rows."""
        if alone or not self._rows:
            return self._table
        rows = self._rows.get(index, np.array([], np.int64))
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return self._table.slice(int(rows[0]), len(rows))
        return self._table.take(pyarrow.array(rows))


def ordered_rows(table: pyarrow.Table, rate_hz: float, where: str) -> pyarrow.Table:
    """The rows of one episode sorted by `frame_index`, else by `timestamp`.

    Raises:
        DialError: frame numbers are missing or come twice, or timestamps do not step by 1 / `rate_hz`, within half a period.
    """
    key = next((name for name in ("frame_index", "timestamp") if name in table.column_names), None)
    if key is None or len(table) < 2:
        return table
    values = matrix_of(table[key], f"{where}: {key}")[:, 0]
    if (np.diff(values) < 0).any():
        order = np.argsort(values, kind="stable")
        table, values = table.take(pyarrow.array(order)), values[order]
    if key == "frame_index":
        steps = np.diff(values)
        if (steps != 1).any():
            row = int(np.flatnonzero(steps != 1)[0])
            raise DialError(f"{where}: frame_index goes from {values[row]:g} to {values[row + 1]:g}; rows are missing or come twice")
    if "timestamp" in table.column_names:
        _require_even(matrix_of(table["timestamp"], f"{where}: timestamp")[:, 0], rate_hz, where)
    return table


def first_timestamp(table: pyarrow.Table, rate_hz: float) -> float:
    """When the first of an episode's ordered rows was taken [s] by its own clock; 0 without timestamps that say so."""
    if "timestamp" not in table.column_names or len(table) < 2:
        return 0.0
    times = matrix_of(table["timestamp"], "timestamp")[:, 0].astype(np.float64)
    step = (times[-1] - times[0]) / (len(times) - 1)
    return float(times[0] / _unit(step, rate_hz)) if np.isfinite(step) and step > 0 else 0.0


def _unit(step: float, rate_hz: float) -> float:
    """How many of a clock's units are a second, by what it steps from row to row."""
    return min(_UNITS.values(), key=lambda unit: abs(np.log(max(step, 1e-12) * rate_hz / unit)))


def _require_even(times: np.ndarray, rate_hz: float, where: str) -> None:
    times = times.astype(np.float64) if times.dtype != np.float32 else times
    require_finite(times, f"{where}: timestamp")
    if np.spacing(np.abs(times).max()) > 0.2 / rate_hz:
        return  # seconds since 1970 as float32: too coarse to say anything, frame_index counts
    elapsed = (times - times[0]).astype(np.float64)
    step = elapsed[-1] / (len(elapsed) - 1)
    unit = _unit(step, rate_hz)
    if not 0.98 < step * rate_hz / unit < 1.02:
        raise DialError(f"{where}: timestamps step by {step / unit:.4g} s, but meta/info.json says {rate_hz:g} frames a second")
    late = np.abs(elapsed - step * np.arange(len(elapsed))) / unit
    if late.max() > 0.5 / rate_hz:
        raise DialError(
            f"{where}: row {int(late.argmax())} is {late.max():.3f} s from its time at {rate_hz:g} Hz; rows are missing or late"
        )
