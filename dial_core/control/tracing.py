"""Trace of a run: one row for every chunk, foresight and change of state, for later analysis (`dial trace`).

All times are the node's own clock [ns]: simulated where use_sim_time is set. A chunk's stages, from exposure to command:

    exposed -> received   transport: camera driver and DDS
    received -> started   waiting: the worker is busy with the chunk before
    started -> inferred   inference: image and foresight to targets
    inferred -> sent      stitching: overlap, splice, limits, messages
    sent -> takes over    the splice lead: the controllers have it by then
"""

import contextlib
import csv
import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError

Kind = Literal["chunk", "foresight", "state"]
STAGES = {
    "transport": ("exposed_ns", "received_ns"),
    "waiting": ("received_ns", "started_ns"),
    "inference": ("started_ns", "inferred_ns"),
    "stitching": ("inferred_ns", "sent_ns"),
    "whole": ("exposed_ns", "sent_ns"),
}


@dataclass(frozen=True)
class TraceRow:
    """One event. What does not apply to its kind is 0 or empty.

    Fields:
        kind: what happened; a `chunk` that was not sent has `sent_ns` 0 and the reason in `text`.
        time_ns: when.
        text: the state and its reason, or why a chunk or foresight was refused; empty for one that was used.
        exposed_ns .. takes_over_ns: the stages above; of a foresight only exposed (its observation), sent and received.
        foresight_ns, foresight_seq: of the foresight that a chunk was made with, or of this foresight.
        inference_s, stitching_s: of the stages on the wall clock [s]; they advance while simulated time stands.
        estimated_delay_s: delay that the strategy assumed [s].
        clamped: targets that a limit moved [1].
    """

    kind: Kind
    time_ns: int
    text: str = ""
    exposed_ns: int = 0
    received_ns: int = 0
    started_ns: int = 0
    inferred_ns: int = 0
    sent_ns: int = 0
    takes_over_ns: int = 0
    foresight_ns: int = 0
    foresight_seq: int = 0
    inference_s: float = 0.0
    stitching_s: float = 0.0
    estimated_delay_s: float = 0.0
    clamped: int = 0

    def stage_s(self, stage: str) -> float:
        """How long a sent chunk spent in one of STAGES [s]."""
        begin, end = STAGES[stage]
        return (getattr(self, end) - getattr(self, begin)) / NANOSECONDS


COLUMNS = tuple(field.name for field in fields(TraceRow))


class TraceWriter:
    """Writes rows to a file as they happen, from any thread: `.csv` as a table, `.jsonl` as one JSON object a line.

    It ends at its size limit or when the disk is full: a robot must not stop for lack of a trace.
    """

    def __init__(self, path: Path, limit_mb: float = 100.0) -> None:
        """Truncates the file; no row is started beyond `limit_mb` [MiB].

        Raises:
            DialError: the file cannot be written or has another ending.
        """
        if path.suffix not in (".csv", ".jsonl"):
            raise DialError(f"trace file {path}: the ending says the format; choose .csv or .jsonl")
        self._limit_mb = limit_mb
        self.ended = ""  # why nothing is written any more; empty while rows are
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.open("w", newline="", buffering=1)
            self._table = csv.DictWriter(self._file, COLUMNS) if path.suffix == ".csv" else None
            if self._table:
                self._table.writeheader()
        except OSError as error:
            raise DialError(f"trace file {path} cannot be written: {error.strerror}") from error

    def write(self, row: TraceRow) -> None:
        """Appends one row; rows after the end are dropped."""
        with self._lock:
            if self.ended:
                return
            try:
                if self._file.tell() >= self._limit_mb * 2**20:
                    self._end(f"full: {self._limit_mb:g} MiB")
                elif self._table:
                    self._table.writerow(asdict(row))
                else:
                    self._file.write(json.dumps(asdict(row)) + "\n")
            except OSError as error:
                self._end(f"cannot be written: {error.strerror}")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if not self.ended:
                self._end("closed")

    def _end(self, why: str) -> None:
        self.ended = why
        with contextlib.suppress(OSError):  # what the buffer still holds does not fit on a full disk
            self._file.close()


def read_trace(path: Path) -> list[TraceRow]:
    """The rows of a trace file, in the order in which they were written.

    Raises:
        DialError: no such file, or a line that is no row.
    """
    if not path.is_file():
        raise DialError(f"there is no trace file {path}; System-1 writes one if its parameter trace_file names it")
    with path.open(newline="") as file:
        lines = csv.DictReader(file) if path.suffix == ".csv" else (json.loads(line) for line in file)
        try:
            return [_row(values) for values in lines]
        except (ValueError, TypeError, KeyError) as error:
            raise DialError(f"{path} is no trace of System-1: {error}") from error


def _row(values: dict) -> TraceRow:
    types: dict[str, Any] = {field.name: type(field.default) for field in fields(TraceRow)}
    kind, time_ns = str(values["kind"]), int(values["time_ns"])
    if kind not in get_args(Kind):
        raise ValueError(f"'{kind}' is none of {', '.join(get_args(Kind))}")
    rest: dict[str, Any] = {name: types[name](values[name]) for name in COLUMNS[2:]}
    return TraceRow(kind, time_ns, **rest)  # type: ignore[arg-type]


def stage_table(rows: Iterable[TraceRow]) -> dict[str, dict[str, float]]:
    """Stage -> median, p95 and longest time [s] over the chunks that were sent; empty without any."""
    sent = [row for row in rows if row.kind == "chunk" and row.sent_ns]
    if not sent:
        return {}
    table = {}
    for stage in STAGES:
        times_s = np.array([row.stage_s(stage) for row in sent])
        table[stage] = {"median": float(np.median(times_s)), "p95": float(np.percentile(times_s, 95)), "longest": float(times_s.max())}
    return table
