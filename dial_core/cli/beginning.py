"""`dial begin`: the checkpoint that training starts from, at any size and of any variant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import Out, console


def begin(
    source: Annotated[
        str, typer.Argument(help="Backbone: a checkpoint folder of ours, a pretrained VLM's folder, or its name on the hub.")
    ],
    out: Out,
    model: Annotated[str, typer.Option(help="Preset in config/models/, e.g. qwen2_5_vl_3b or dial_tiny_flare.")] = "qwen2_5_vl_3b",
    tokenizer: Annotated[str | None, typer.Option(help="Folder or hub name of another tokenizer than the backbone's.")] = None,
    view_encoder: Annotated[str | None, typer.Option(help="DINOv2 weights for the bridge `dino`; default: as the preset names.")] = None,
    embodiment: Annotated[str, typer.Option(help="Robot, by name in config/embodiments/.")] = "gr1",
    camera: Annotated[str, typer.Option(help="The robot's camera to look through.")] = "ego",
    seed: Annotated[int, typer.Option(help="Of all that is not taken from the backbone.")] = 0,
) -> None:
    """Make the checkpoint that `dial train --start` begins with: a trained backbone in a preset's model, the rest fresh.

    The paper's comparison is this command with another preset (docs/variants.md): every variant begins with the same backbone.

        dial begin Qwen/Qwen2.5-VL-3B-Instruct --out out/start
        dial begin out/pretrain/checkpoint --model dial_tiny_flare --out out/flare/start
    """
    from dial_core.runtime.beginning import begin as run

    contract = run(Path(out), model, source, tokenizer, view_encoder, embodiment, camera, seed)
    console.print(f"[bold]{out}[/]: {model}, id {contract.model_id}")
