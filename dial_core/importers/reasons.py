"""Why jobs gave nothing, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def reasons_in_lines(reasons: Iterable[tuple[str, str]], most: int = 20) -> str:
    """One line for each reason, with the jobs that it concerns, from pairs of a job's name and its reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons:
        by_reason.setdefault(reason or "no reason given", []).append(name)
    lines = [f"  {_some(names)}: {reason}" for reason, names in by_reason.items()]
    return "\n".join(lines[:most] + ([f"  and {len(lines) - most} other reasons"] if len(lines) > most else []))


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
