"""Prints the result of a `dial convert`: what was left out and why, with a consistent last line and exit status."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from dial_core.cli.options import console

if TYPE_CHECKING:
    from dial_core.importers.job_reports import ImportReport

INCOMPLETE = 3  # exit status: the dataset was written, but something that was wanted is not in it
SHOWN = 20


def print_import(report: ImportReport, out: Path, things: str) -> None:
    """Prints what an import left out, and as last line what is in the dataset at `out`; exits with INCOMPLETE if anything failed.

    `things`: what a job is, in the plural.
    """
    lines = [f"[yellow]left out[/] {escape(f'{names}: {text}')}" for names, text in _grouped(report.left_out).items()]
    for title, found in (("in part", report.rejected), ("note", report.remarks)):
        grouped = _grouped({name: "; ".join(texts) for name, texts in found.items()})
        lines += [f"[yellow]{title}[/] {escape(f'{names}: {text}')}" for names, text in grouped.items()]
    for line in lines[:SHOWN]:
        console.print(line, highlight=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(escape(f"... and {len(lines) - SHOWN} more, in {out}/meta/conversion.json"), highlight=False)
    excluded = len(report.jobs) - report.converted - report.failed
    remarks = [f"{report.failed} could not be converted"] if report.failed else []
    remarks += [f"{excluded} left out on purpose"] if excluded else []
    remarks += [f"{len(report.rejected)} used in part"] if report.rejected else []
    console.print(
        f"[bold]{report.episodes}[/] episodes of {report.converted} of {len(report.jobs)} {things} in {escape(str(out))}"
        + (f"; {', '.join(remarks)}" if remarks else ""),
        highlight=False,
        soft_wrap=True,
    )
    if report.failed:
        raise typer.Exit(INCOMPLETE)


def _grouped(reasons: Mapping[str, str]) -> dict[str, str]:
    """Groups names by reason; only the first few are listed."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    return {", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""): reason for reason, names in by_reason.items()}
