"""`dial draw`: a diagram of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import console


def draw(
    model: Annotated[str, typer.Argument(help="Preset in config/models/.")] = "paper",
    out: Annotated[Path, typer.Option(help="Image to write (.png, .svg, .pdf).")] = Path("out/model.png"),
) -> None:
    """Draw a preset: its parts with their sizes, what is frozen, and what its bridge passes on. Needs no weights.

    Try `dial draw paper`, then `dial draw qwen2_5_vl_3b_seer`.
    """
    from dial_core.diagram import draw_model
    from dial_core.model.configuration import DialConfig

    arch = DialConfig.from_preset(model).arch
    draw_model(arch, out, f"{model} (bridge: {arch.bridge})")
    console.print(f"[bold]{out}[/]")
