"""The progress bar of every command: title, progress, rate, ETA, and a short note."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LOG_PERIOD_S = 20.0


class Advance(Protocol):
    """Reports `count` further units done, with an optional short note (counts, loss)."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


@contextmanager
def progress_bar(title: str, total: int, done: int = 0, quiet: bool = False) -> Iterator[Advance]:
    """A bar with ETA on a terminal; in a log file one line every 20 s instead. `done` units are there already."""
    if quiet:
        yield lambda count=1, note="": None
    elif sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(title, total=total, completed=done, note="")
            yield lambda count=1, note="": bar.update(task, advance=count, note=note)
    else:
        lines = _Lines(title, total, done)
        yield lines.advance
        lines.write()


def _bar() -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


class _Lines:
    """Progress as lines, for logs."""

    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done, self.first = title, total, done, done
        self.note = ""
        self.started_s = self.written_s = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.note = note or self.note
        if time.monotonic() - self.written_s > _LOG_PERIOD_S:
            self.write()

    def write(self) -> None:
        self.written_s = time.monotonic()
        elapsed_s = self.written_s - self.started_s
        fresh = self.done - self.first
        eta = f"{elapsed_s / fresh * (self.total - self.done):.0f} s" if fresh else "?"
        print(
            f"{self.title}: {self.done}/{self.total}  elapsed {elapsed_s:.0f} s  ETA {eta}  {self.note}",
            file=sys.stderr,
            flush=True,
        )
