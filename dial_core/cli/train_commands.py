"""`dial train`: a recipe on its data, on one process or, under `accelerate launch`, on many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.cli.options import Changes, Out, Workers, command_line, console, named_folders
from dial_core.cli.training_processes import Compile, Precision, Processes, distribute, ignored_launch_precision, named_precision


def train(
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            "--from",
            parser=checkpoint_folder,
            metavar="CHECKPOINT",
            help="Checkpoint to begin with, a folder or a name such as dial_tiny; without it, the recipe's model.",
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "--data", help="Dataset folder of the robot, or NAME=FOLDER for each source of the recipe."),
    ] = None,
    out: Out = Path("out/train"),
    recipe: Annotated[str, typer.Option(help="Recipe, by name in config/training/ or a path.")] = "dial_tiny",
    changes: Changes = None,
    workers: Workers = 2,
    micro_batch: Annotated[int, typer.Option(min=0, help="Samples a device takes at once; the rest is accumulated. 0: all.")] = 0,
    loader_workers: Annotated[int, typer.Option(min=0, help="Decoding processes per device, for recipes with `images: pixels`.")] = 0,
    wandb: Annotated[bool, typer.Option("--wandb", help="Report to Weights & Biases beside TensorBoard, a run a stage.")] = False,
    processes: Processes = "auto",
    precision: Precision = "auto",
    compiled: Compile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be trained, on what, and what it needs.")] = False,
    gpus: Annotated[int, typer.Option(min=1, help="With --dry-run: number of GPUs in all.")] = 1,
    strategy: Annotated[str, typer.Option(help="With --dry-run: ddp, fsdp2, zero2 or zero3.")] = "ddp",
    gpu_gib: Annotated[
        float, typer.Option("--gpu-gib", min=1, help="With --dry-run: memory of a GPU [GiB]; a run that needs more is refused.")
    ] = 80.0,
) -> None:
    """Train the stages of a recipe: warmup (System-1 sees the true goal), then end to end (System-1 sees the foresight).

    With `images: cached` the frozen vision tower's tokens of every frame are computed first, once, beside the dataset. Every
    stage leaves a log, TensorBoard events and a loss curve; the result is `OUT/checkpoint`, with a model card. Killed at any
    moment, the same command resumes from the newest checkpoint with the same losses.

    Fine-tuning on 20 to 100 episodes of your own: `dial train --from CHECKPOINT --data FOLDER --recipe finetune` (docs/finetune.md).

    On many GPUs: `accelerate launch --config_file config/accelerate/fsdp2_8.yaml -m dial_core.cli train ...` (docs/training.md).
    """
    from dial_core.config import load_config
    from dial_core.training.optimisation import Hardware
    from dial_core.training.processes import leave_processes
    from dial_core.training.recipe import Recipe
    from dial_core.training.stages import train as run
    from dial_core.training.starting import workload_of

    plan = load_config(Recipe, "training", recipe, changes or ())
    folders = named_folders(dataset or [])
    if dry_run:
        from dial_core.training.forecast import forecast

        hardware = Hardware(micro_batch, precision=named_precision(precision) or "recipe")
        forecast(plan, start, folders, hardware, gpus, strategy, console, gpu_gib)
        return
    execution = distribute(processes, precision, compiled, workload_of(plan, start), plan.steps, out)
    if execution:
        hardware = execution.hardware(micro_batch, loader_workers, wandb)
        if ignored := ignored_launch_precision([stage.optimisation for stage in plan.effective_stages()], hardware):
            console.print(f"[yellow]{ignored}[/]", highlight=False)
        console.print(f"[bold]{run(plan, start, folders, out, workers, command_line(), hardware)}[/]")
        leave_processes()
