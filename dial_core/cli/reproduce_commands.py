"""`dial reproduce` makes every table in one resumable command; `dial tokens` is one of its steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.cli.interruption import interrupted_by_sigterm
from dial_core.cli.options import Workers, console, named_folders, results
from dial_core.errors import DialError


def reproduce(
    plan: Annotated[str, typer.Argument(help="Plan, by name in config/reproduction/ or a path.")] = "miniature",
    only: Annotated[
        list[str],
        typer.Option(help="Only what is measured of this method or on these scenes, or steps that begin so (train, eval/flare); repeat."),
    ] = [],  # noqa: B006  # typer reads it, nothing changes it
    workers: Annotated[
        int, typer.Option(min=0, help="Processes of each step; trainings share every batch among them. 0: none beside its own.")
    ] = 2,
    jobs: Annotated[int, typer.Option(min=1, help="Steps at a time. On a GPU: as many small trainings as fit.")] = 1,
    ray: Annotated[str, typer.Option(metavar="ADDRESS", help="Ray cluster for the steps that can spread over one (not trainings).")] = "",
    device: Annotated[str, typer.Option(help="Where trainings run: cpu, cuda, or auto (a GPU if there is one).")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of all results. Without: out/reproduction/PLAN, or PLAN_shipped.")] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Page to write; images and results beside it, with those of earlier runs. Without: paper.md in --out."),
    ] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="Evaluate shipped checkpoints instead of training them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print every step, its state, and the hours to go.")] = False,
) -> None:
    """Reproduce the paper's comparisons at small size: pretrain, demonstrations, tokens, trainings, evaluations, page.

    A plan says which methods are trained on which data and what is shown of them; the steps follow from it. Every step is a
    `dial` command of its own with a log in `OUT/steps/`. Interrupted at any moment, the same command resumes. A step that
    fails stops only what needs it. The page is rewritten after every step, so partial results can be read at any time.

        dial reproduce --dry-run
        dial reproduce --jobs 2 --workers 1 --page results/paper.md
        dial reproduce --only six
        dial reproduce --only flare
        dial reproduce --shipped --only dial
    """
    from dial_core.config import load_config
    from dial_core.files.folder_lock import folder_lock
    from dial_core.reproduction.done_marks import DoneMarks
    from dial_core.reproduction.hours import readable_hours, status_rows
    from dial_core.reproduction.paper_page import require_replaceable, write_page
    from dial_core.reproduction.pipeline import Pipeline
    from dial_core.reproduction.plan import ReproductionPlan
    from dial_core.reproduction.step_runner import Commands, StepRunner, remaining

    folder = out or Path("out/reproduction") / (Path(plan).stem + "_shipped" * shipped)
    pipeline = Pipeline(load_config(ReproductionPlan, "reproduction", plan), folder, _model_id if shipped else None)
    steps, marks, written = pipeline.chosen(only), DoneMarks(folder), page or folder / "paper.md"
    marks.require(pipeline.steps.values())  # the page reads all marks: one of another plan is refused before hours of work

    if dry_run:
        todo, durations_s, left_s = remaining(steps, marks, workers, jobs)
        table = Table("step", "state", "time", title=f"{Path(plan).stem}: {len(todo)} of {len(steps)} steps to do")
        for row in status_rows(steps, durations_s, marks):
            table.add_row(*row)
        results.print(table)
        summary = f"about [bold]{readable_hours(left_s)}[/] to go with --jobs {jobs} --workers {workers}"
        source = f"by the costs of {pipeline.plan.costs.machine}, corrected by the steps that finished here"
        results.print(f"{summary}; {source}", highlight=False)
        return
    require_replaceable(pipeline, written)  # likewise

    def announce(text: str) -> None:
        console.print(text, highlight=False)
        if text.startswith("["):  # a step is done
            try:
                write_page(pipeline, plan, written)
            except DialError as error:  # what is being trained continues; the page is written again at the end
                console.print(f"[bold red]the page was not written:[/] {escape(str(error))}", highlight=False)

    with folder_lock(folder, "dial reproduce") as lock, interrupted_by_sigterm():
        commands = Commands(_environment(device), lock)
        runner = StepRunner(marks, commands, workers, jobs, announce, ray, _training_device(device))
        todo, _, left_s = remaining(steps, marks, workers, jobs)
        console.print(f"{len(steps) - len(todo)} of {len(steps)} steps done, about {readable_hours(left_s)} to go", highlight=False)
        try:
            runner.run(steps)
        finally:
            write_page(pipeline, plan, written)
    console.print(f"[bold]{written}[/]")


def tokens(
    start: Annotated[Path, typer.Argument(parser=checkpoint_folder, metavar="CHECKPOINT", help="What `dial train` will start from.")],
    dataset: Annotated[list[str], typer.Option("--dataset", "--data", help="Dataset folder, or NAME=FOLDER for each source.")],
    recipe: Annotated[str, typer.Option(help="Recipe, by name in config/training/ or a path.")] = "dial_tiny",
    workers: Workers = 2,
) -> None:
    """Compute the frozen vision tower's tokens of every frame ahead of `dial train`, which otherwise does so itself.

    They lie beside the dataset and are shared by every model with the same tower. Interrupted, the same command resumes.
    """
    from dial_core.config import load_config
    from dial_core.training.precompute import precompute_tokens
    from dial_core.training.recipe import Recipe

    count = precompute_tokens(load_config(Recipe, "training", recipe), start, named_folders(dataset), workers)
    console.print(f"image tokens of [bold]{count}[/] frames", highlight=False)


def _model_id(checkpoint: str) -> str:
    """Returns the model id of a shipped checkpoint."""
    from dial_core.checkpoint.contract import read_contract

    return read_contract(checkpoint_folder(checkpoint)).model_id


def _environment(device: str) -> dict[str, str]:
    """What the steps' processes get to run on a device.

    Raises:
        DialError: an unknown device, or no GPU.
    """
    if device == "auto":
        return {}
    if device == "cpu":
        return {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    if device != "cuda":
        raise DialError(f"unknown device '{device}'; devices: auto, cpu, cuda")
    import torch

    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = f" (CUDA_VISIBLE_DEVICES is '{visible}')" if visible is not None else ""
        raise DialError(f"there is no CUDA device here{hidden}; `--device cpu` trains without one")
    return {}


def _training_device(device: str) -> str:
    """Where trainings run with `--device`, for their marks: `cpu`, or the GPU's name."""
    import torch

    return "cpu" if device == "cpu" or not torch.cuda.is_available() else torch.cuda.get_device_name()
