"""`dial data ...`: datasets joined."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import results
from dial_core.errors import DialError

data_app = typer.Typer(no_args_is_help=True, help="Join datasets.")

SourcesAndOut = Annotated[list[Path], typer.Argument(help="SRC... DST: what to read, and at last the dataset to make.", show_default=False)]


@data_app.command()
def merge(sources: SourcesAndOut) -> None:
    """Join the shards of one collection: SRC... DST, equal to what the same call without --shard would have made."""
    from dial_core.data.shards import join_shards

    if len(sources) < 2:
        raise DialError("name all shards and, at last, the dataset to make: SRC... DST")
    results.print(f"[bold]{join_shards(sources[:-1], sources[-1])}[/]", highlight=False)


@data_app.callback()
def _group() -> None:
    """Keeps `dial data merge` a command of a group, also while it is the only one."""
