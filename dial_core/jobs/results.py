"""What a job gave, wherever it ran."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class JobResult:
    """What one job gave: its `value`, or the `error` (traceback or exit code) that ended it."""

    job: Any
    value: Any = None
    error: str | None = None


def call(function: Callable[[Any], Any], job: Any) -> tuple[Any, str | None]:
    """`function(job)` and None, or None and the traceback of what it raised."""
    try:
        return function(job), None
    except Exception:
        return None, traceback.format_exc()
