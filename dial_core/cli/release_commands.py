"""`dial import-release`, `dial export-release`, `dial parity`: the authors' checkpoints, and numerical parity with them."""

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
    statistics: Annotated[
        Path | None, typer.Option(help="The release's metadata.json; default: experiment_cfg/metadata.json in its folder.")
    ] = None,
    layout: Annotated[str, typer.Option(help="Layout of its vectors: a name in config/layouts/, or a YAML file.")] = "released",
    embodiment: Annotated[str, typer.Option(help="The robot that it drives.")] = "gr1",
    camera: Annotated[str, typer.Option(help="The robot's camera that it sees through.")] = "ego",
    base: Annotated[
        str | None, typer.Option(help="X,Y,Z,YAW [m, rad] of the robot's base in the wrists' frame; a simulation reports its own.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Folder or hub name; default: the release's folder, else its VLM.")] = None,
) -> None:
    """Import a checkpoint of the authors' release. Strict: unknown or missing tensors are listed, nothing is guessed.

    With the statistics it was trained with, the folder is a complete checkpoint: contract, image crop, vector layout, slot,
    normalisation. Without them it holds weights and architecture, from which `dial train --from` starts.
    """
    from dial_core.errors import DialError
    from dial_core.release.importing import Target
    from dial_core.release.importing import import_release as run

    size = None
    if image:
        parts = image.split("x")
        if len(parts) != 2 or not all(part.isdigit() for part in parts):
            raise DialError(f"--image '{image}': expected HEIGHTxWIDTH, such as 224x224")
        size = (int(parts[0]), int(parts[1]))
    robot = Target(embodiment, camera, layout, _base_pose(base), statistics, tokenizer)
    parameters, contract = run(source, target, vlm, size, robot)
    console.print(f"[bold]{target}[/]: {parameters:,} parameters")
    if contract is None:
        console.print("No statistics found: weights and architecture only. Name them with --statistics, or train from here")
    else:
        console.print(f"Drives {contract.embodiment} in slot {contract.slot}, vectors in layout '{contract.layout.name}'")


def _base_pose(text: str | None):
    """A base's pose from `X,Y,Z,YAW` [m, rad]."""
    from math import cos, sin

    from dial_core.errors import DialError
    from dial_core.robot.vector_layout import BasePose

    if text is None:
        return None
    try:
        x, y, z, yaw = (float(part) for part in text.split(","))
    except ValueError:
        raise DialError(f"--base '{text}': expected X,Y,Z,YAW [m, rad], such as 0,0,0.93,1.5708") from None
    return BasePose(position=(x, y, z), quaternion=(cos(yaw / 2), 0.0, 0.0, sin(yaw / 2)))


def export_release(
    source: Checkpoint,
    target: Annotated[Path, typer.Argument(help="New safetensors file in the release's naming.")],
    case: Annotated[bool, typer.Option(help="Add a parity case: random inputs and what this model makes of them.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the case's inputs.")] = 0,
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
