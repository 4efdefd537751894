"""`dial pretrain`, `dial collect`: from seeds to a model that sees, and demonstrations."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dial_core.cli.options import Out, Task, Workers, command_line, console
from dial_core.sim.task import EVALUATION_SEEDS_FROM


def pretrain(
    out: Out,
    recipe: Annotated[str, typer.Option(help="Recipe, by name in config/training/ or a path.")] = "dial_tiny_pretrain",
    workers: Workers = 2,
) -> None:
    """Give the tiny VLM its eyes: next-token training on rendered views ("where is the can" -> image coordinates).

    A stand-in for Qwen's pretraining. Leaves `OUT/checkpoint`, which `dial train` starts from (System-1, queries and
    foresight head still random), and `OUT/pointing.json`: median pixel errors and how often the named one of two is found.
    """
    from dial_core.training.pretrain import pretrain as run

    report = run(recipe, out, workers, command_line())
    console.print_json(json.dumps(report))


def collect(
    out: Out,
    task: Task = "PlacematToPlate",
    episodes: Annotated[int, typer.Option(min=1, help="Successful demonstrations wanted.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=EVALUATION_SEEDS_FROM - 1, help="First scene; 100000 and up are for evaluation.")] = 0,
    disturbed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of scenes in which the robot is pushed off the expert's path.")
    ] = 0.5,
    workers: Workers = 2,
) -> None:
    """Collect the scripted expert's demonstrations as a LeRobot v3 dataset.

    Failed attempts are left out and counted, by reason, in `meta/collection.json`.
    """
    from dial_core.data.collect import collect as run

    tally = run(task, episodes, seed, disturbed, out, workers)
    console.print(f"[bold]{episodes}[/] episodes in {out}; failed attempts: {tally.reasons or 'none'}")
