"""The result of a job, wherever it ran."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dial_core.errors import ConnectionLostError, DialError
from dial_core.files.disk_space import DiskFullError, full_disk, is_disk_full


class EndOfJobsError(DialError):
    """What a job meets that is no fault of its own, and that every further job would meet too."""


ENDS_ALL = (DiskFullError, ConnectionLostError, EndOfJobsError)


@dataclass(frozen=True)
class JobResult:
    """Result of one job: its `value`, or the `error` (traceback or exit code) that ended it."""

    job: Any
    value: Any = None
    error: str | None = None

    @property
    def reason(self) -> str:
        """What ended it, in one line: its exception without the traceback; empty if nothing did."""
        lines = (self.error or "").strip().splitlines()
        # The exception, which may have several lines itself (EGLError does), follows the last line of a frame.
        begin = max((place for place in range(1, len(lines)) if lines[place - 1].startswith(" ") and lines[place][:1].strip()), default=0)
        return " ".join(line.strip() for line in lines[begin:])


def call(function: Callable[[Any], Any], job: Any) -> tuple[Any, str | None]:
    """`function(job)` and None, or None and the traceback of what it raised; an error of `ENDS_ALL` in place of the value."""
    try:
        return function(job), None
    except ENDS_ALL as error:
        return error, None
    except Exception as error:
        if is_disk_full(error):
            file = getattr(error, "filename", None)
            return full_disk(Path(file).parent if file else Path.cwd(), Path(file).name if file else "a file"), None
        return None, traceback.format_exc()
