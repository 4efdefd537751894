"""`dial begin`: the checkpoint that training starts from, at any size and of any variant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import Out, console


def begin(
    source: Annotated[str, typer.Argument(help="A checkpoint of ours, an imported release, a VLM's folder or name on the hub.")],
    out: Out,
    model: Annotated[str, typer.Option(help="Preset in config/models/, e.g. qwen2_5_vl_3b or dial_tiny_flare.")] = "qwen2_5_vl_3b",
    only_backbone: Annotated[bool, typer.Option("--only-backbone", help="Take nothing else from a checkpoint of ours.")] = False,
    tokenizer: Annotated[str | None, typer.Option(help="Folder or hub name; default: the source's, or the backbone's.")] = None,
    view_encoder: Annotated[str | None, typer.Option(help="DINOv2 weights for the bridge `dino`; default: as the preset names.")] = None,
    embodiment: Annotated[str, typer.Option(help="Robot, by name in config/embodiments/.")] = "gr1",
    camera: Annotated[str, typer.Option(help="The robot's camera to look through.")] = "ego",
    seed: Annotated[int, typer.Option(help="Seed of the tensors that have no source.")] = 0,
    forget: Annotated[
        list[str] | None,
        typer.Option(help="Word whose embedding is re-initialised at random, so that the model does not know it; may be repeated."),
    ] = None,
) -> None:
    """Make the checkpoint for `dial train --start`: a preset's model with a trained backbone and every other tensor that fits.

    The paper's comparison is this command with another preset (docs/variants.md): every variant begins with the same pretraining.
    What has no place in the preset is left, what has no source is random, and is listed. The backbone must fit whole.

        dial begin Qwen/Qwen2.5-VL-3B-Instruct --out out/start
        dial begin out/pretrain/checkpoint --model dial_tiny_flare --out out/flare/start
    """
    from dial_core.checkpoint.initialise import transplant
    from dial_core.checkpoint.location import shipped_checkpoint

    begun_with = shipped_checkpoint(source) or source
    made = transplant(Path(out), model, begun_with, only_backbone, tokenizer, view_encoder, embodiment, camera, seed, forget or ())
    console.print(f"[bold]{out}[/]: {model}, id {made.contract.model_id}; {len(made.fresh)} tensors are random, listed in its README.md")
