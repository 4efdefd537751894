"""Shared by the commands: the console, common options, and the command line as typed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.jobs.workers import use_ray
from dial_core.sim.task import EVALUATION_SEEDS_FROM

console = Console(stderr=True)  # progress, notes, errors
results = Console()  # what a command was called for

Out = Annotated[Path, typer.Option(help="Folder to write to.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0: none, this one does the work.")]
CHECKPOINT_HELP = "Checkpoint: a folder, or the name of one that comes with the package, such as dial_tiny."
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of the recipe, e.g. stages.0.optimisation.steps=100; may be repeated."),
]
Checkpoint = Annotated[Path, typer.Argument(parser=checkpoint_folder, metavar="CHECKPOINT", help=CHECKPOINT_HELP)]
Episodes = Annotated[int, typer.Option(min=1, help="Scenes to run.")]
EvaluationSeed = Annotated[int, typer.Option(min=EVALUATION_SEEDS_FROM, help="First scene.")]
Videos = Annotated[int, typer.Option(min=0, help="Episodes to film.")]
SkipCrashed = Annotated[
    bool,
    typer.Option("--skip-crashed", help="Build the dataset without what failed for an external reason: a killed worker, a failing disk."),
]
Task = Annotated[str, typer.Option(help="Task, by its file in config/tasks/.")]


def _use_ray(address: str) -> str:
    if address:
        from dial_core.jobs.ray_engine import connect

        connect(address)  # a missing package or cluster is reported before any work
    use_ray(address)
    return address


# Its callback chooses the engine of `run_jobs`; a command that takes it need not look at it.
RAY_HELP = "Spread the work over the Ray cluster at this address; auto: the one that this machine belongs to, local: one started here."
Ray = Annotated[str, typer.Option(callback=_use_ray, metavar="ADDRESS", help=RAY_HELP)]


def command_line() -> str:
    """Returns this call as a user would type it, for the model card."""
    return " ".join(["dial", *sys.argv[1:]])


def named_folders(texts: list[str]) -> dict[str, Path]:
    """Parses `--dataset` options: `FOLDER` is the robot's dataset, `NAME=FOLDER` that of source NAME."""
    from dial_core.training.recipe import ROBOT

    pairs = [text.split("=", 1) if "=" in text and not Path(text).exists() else [ROBOT, text] for text in texts]
    return {name: Path(folder) for name, folder in pairs}
