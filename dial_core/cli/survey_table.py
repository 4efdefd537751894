"""The table that every `dial convert` prints first: what was found, how it will be used, what will not and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from dial_core.cli.options import console

if TYPE_CHECKING:
    from dial_core.importers.found import Found, FoundGroup

SHOWN_GROUPS = 6
SHOWN_UNUSED = 12


def print_found(found: Found) -> None:
    """Prints one table of all sources of an import, grouped by how they are used."""
    table = Table(found.things, "used for", "from", found.counted, title=f"{found.things} found: {found.total}", title_justify="left")
    for group in found.groups[:SHOWN_GROUPS]:
        _add(table, group)
    if len(found.groups) > SHOWN_GROUPS:
        table.add_row(f"{sum(len(group.sources) for group in found.groups[SHOWN_GROUPS:])} more", "in other ways", "", "")
    console.print(table, highlight=False)


def _add(table: Table, group: FoundGroup) -> None:
    names = escape(", ".join(group.sources[:3])) + (f" and {len(group.sources) - 3} more" if len(group.sources) > 3 else "")
    if group.problem:
        table.add_row(names, "[yellow]nothing[/]", escape(group.problem), "")
    for place, (use, source) in enumerate(group.uses):
        count = group.counts.get(source)
        table.add_row(names if place == 0 else "", escape(use), escape(source), "" if count is None else f"{count:,}")
    for source, why in list(group.unused.items())[:SHOWN_UNUSED]:
        count = group.counts.get(source)
        table.add_row("", f"[dim]nothing: {escape(why)}[/]", f"[dim]{escape(source)}[/]", "" if count is None else f"[dim]{count:,}[/]")
    if len(group.unused) > SHOWN_UNUSED:
        table.add_row("", f"[dim]nothing: {len(group.unused) - SHOWN_UNUSED} more[/]", "", "")
    table.add_section()
