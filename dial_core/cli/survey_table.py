"""The table that `dial convert bag` shows before it begins: what was found, how it will be used, what will not and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from dial_core.cli.options import console

if TYPE_CHECKING:
    from dial_core.importers.bag.survey import SurveyGroup

SHOWN_GROUPS = 6
SHOWN_UNUSED = 12


def print_survey(groups: Sequence[SurveyGroup]) -> None:
    """Prints one table of all bags, those that are used alike together."""
    bags = sum(len(group.bags) for group in groups)
    table = Table("bags", "used for", "topic", "messages", title=f"bags found: {bags}", title_justify="left")
    for group in groups[:SHOWN_GROUPS]:
        names = ", ".join(group.bags[:3]) + (f" and {len(group.bags) - 3} more" if len(group.bags) > 3 else "")
        if group.problem:
            table.add_row(names, "[yellow]nothing[/]", group.problem, "")
        for place, (use, topic) in enumerate(group.uses):
            count = group.messages.get(topic)
            table.add_row(names if place == 0 else "", use, topic, "" if count is None else f"{count:,}")
        for topic, why in list(group.unused.items())[:SHOWN_UNUSED]:
            table.add_row("", f"[dim]nothing: {why}[/]", f"[dim]{topic}[/]", f"[dim]{group.messages.get(topic, 0):,}[/]")
        if len(group.unused) > SHOWN_UNUSED:
            table.add_row("", f"[dim]nothing: {len(group.unused) - SHOWN_UNUSED} more topics[/]", "", "")
        table.add_section()
    if len(groups) > SHOWN_GROUPS:
        table.add_row(f"{sum(len(group.bags) for group in groups[SHOWN_GROUPS:])} more", "in other ways", "", "")
    console.print(table, highlight=False)
