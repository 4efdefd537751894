"""`dial import-release`, `dial export-release`, `dial parity`: the authors' checkpoints, and proof that the numbers agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dial_core.cli.options import Checkpoint, console, results

Vlm = Annotated[str | None, typer.Option(help="Folder or hub name of the VLM's config.json; default: as the checkpoint says.")]
Image = Annotated[str | None, typer.Option(help="HEIGHTxWIDTH [px]; default: the square that gives N tokens.")]


def import_release(
    source: Annotated[Path, typer.Argument(help="The release's checkpoint: a safetensors file, or a folder with config.json and shards.")],
    target: Annotated[Path, typer.Argument(help="New folder in our format (save_pretrained).")],
    vlm: Vlm = None,
    image: Image = None,
) -> None:
    """Turn a checkpoint of the authors' release into one of ours. Strict: unknown or missing tensors are listed, nothing is guessed.

    The folder holds weights and architecture. A robot needs a contract and statistics too: `dial train --from` makes them
    from your demonstrations.
    """
    from dial_core.errors import DialError
    from dial_core.release.folder import import_release as run

    size = None
    if image:
        parts = image.split("x")
        if len(parts) != 2 or not all(part.isdigit() for part in parts):
            raise DialError(f"--image '{image}': expected HEIGHTxWIDTH, such as 224x224")
        size = (int(parts[0]), int(parts[1]))
    model = run(source, target, vlm, size)
    console.print(f"[bold]{target}[/]: {sum(parameter.numel() for parameter in model.parameters()):,} parameters")


def export_release(
    source: Checkpoint,
    target: Annotated[Path, typer.Argument(help="New safetensors file in the release's naming.")],
    case: Annotated[bool, typer.Option(help="Add a parity case: random inputs and what this model makes of them.")] = False,
    seed: Annotated[int, typer.Option(help="Of the case's inputs.")] = 0,
) -> None:
    """Write a checkpoint in the release's naming: one safetensors file, its configuration in the metadata.

    The release knows only its own distribution of tau, buckets of time and mean of losses: trained on, it goes by those.
    """
    from dial_core.release.folder import export_release as run
    from dial_core.release.folder import load_as_released
    from dial_core.release.parity import make_case

    model = load_as_released(source)
    run(model, target, *(make_case(model, seed) if case else ()))
    console.print(f"[bold]{target}[/]")


def parity(file: Annotated[Path, typer.Argument(help="safetensors file with the release's weights and a case.")]) -> None:
    """Compare this model with the authors' release, quantity by quantity, on a stored case.

    Exit status 0 only if every maximum absolute error is at most 1e-4.
    """
    from dial_core.release.parity import TOLERANCE
    from dial_core.release.parity import parity as run

    rows = run(file)
    table = Table("quantity", "max. abs. error", "largest value", title=f"{file.name}, tolerance {TOLERANCE:g}")
    for row in rows:
        style = "" if row.within else "bold red"
        table.add_row(row.quantity, f"{row.error:.2e}", f"{row.scale:.3g}", style=style)
    results.print(table)
    off = [row.quantity for row in rows if not row.within]
    if off:
        results.print(f"[bold red]not equal:[/] {', '.join(off)}")
        raise typer.Exit(1)
    results.print(f"[bold green]equal:[/] all {len(rows)} quantities")
