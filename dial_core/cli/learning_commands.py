"""`dial pretrain`, `dial pretrain-encoder`, `dial collect`: pretrained towers, and demonstrations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import Changes, Out, Ray, Workers, command_line, console
from dial_core.cli.training_processes import Compile, Precision, Processes, distribute
from dial_core.errors import DialError
from dial_core.sim.task import EVALUATION_SEEDS_FROM


def pretrain(
    out: Out,
    recipe: Annotated[str, typer.Option(help="Recipe, by name in config/training/ or a path.")] = "dial_tiny_pretrain",
    changes: Changes = None,
    workers: Workers = 2,
    ray: Ray = "",
    processes: Processes = "auto",
    precision: Precision = "auto",
    compiled: Compile = None,
) -> None:
    """Pretrain the tiny VLM: next-token prediction on rendered views ("where is the can" -> image coordinates).

    A stand-in for Qwen's pretraining. Leaves `OUT/checkpoint`, which `dial train` starts from (System-1 still
    random), and `OUT/pointing.json`: median pixel errors and how often the named one of two is found, in text before and
    after the foresight queries were taught (`after_copying`), and by these (`queries`).
    """
    from dial_core.config import load_config
    from dial_core.training.pretrain.pretraining import PretrainRecipe
    from dial_core.training.pretrain.pretraining import pretrain as run
    from dial_core.training.processes import leave_processes

    plan = load_config(PretrainRecipe, "training", recipe, changes or ())
    execution = distribute(processes, precision, compiled, plan.workload, plan.optimisation.steps, out)
    if not execution:
        return
    if report := run(plan, out, workers, command_line(), execution):
        console.print_json(json.dumps(report))
    leave_processes()


def pretrain_encoder(
    out: Out,
    views: Annotated[Path, typer.Option(help="Rendered views: `OUT/views` of `dial pretrain`.")],
    recipe: Annotated[str, typer.Option(help="Recipe, by name in config/training/ or a path.")] = "dial_tiny_encoder",
    changes: Changes = None,
) -> None:
    """Pretrain the second vision tower of DIAL-DINO: DINOv2's own objective, from scratch, on rendered views.

    A stand-in for `facebook/dinov2-base` at a size at which there is none. Leaves `OUT/tower`, which
    `dial begin --model dial_tiny_dino --view-encoder OUT/tower` takes, and prints how many things a linear probe names by
    the one token over them, before and after.

        dial pretrain-encoder --views out/pretrain/views --out out/encoder
    """
    from dial_core.config import load_config
    from dial_core.training.pretrain.view_encoder_pretraining import EncoderRecipe, pretrain_view_encoder

    plan = load_config(EncoderRecipe, "training", recipe, changes or ())
    console.print_json(json.dumps(pretrain_view_encoder(plan, views, out, command_line())))


def collect(
    out: Out,
    task: Annotated[list[str], typer.Option(help="Task, by its file in config/tasks/; may be repeated.")] = ["PlacematToPlate"],  # noqa: B006
    suite: Annotated[str, typer.Option(help="All tasks of a suite in config/suites/, instead of --task.")] = "",
    episodes: Annotated[int, typer.Option(min=1, help="Successful demonstrations wanted of each task.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=EVALUATION_SEEDS_FROM - 1, help="First scene; 100000 and up are for evaluation.")] = 0,
    disturbed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of scenes in which the robot is pushed off the expert's path.")
    ] = 0.5,
    changed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the scenes with two objects that begin on the way to the other one.")
    ] = 0.0,
    missed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the other scenes that begin with the hand closed beside the object.")
    ] = 0.0,
    two_objects: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the scenes with two objects, in tasks that have such; else as the task says."),
    ] = None,
    image_size: Annotated[int, typer.Option(min=32, help="Height and width of the images [px].")] = 96,
    shard: Annotated[str, typer.Option(help="K/N: only every N-th scene, from the K-th on; `dial data merge` joins all N.")] = "1/1",
    spare: Annotated[int | None, typer.Option(min=0, help="Episodes a shard collects beyond its share; else 5 %.")] = None,
    workers: Workers = 2,
    ray: Ray = "",
) -> None:
    """Collect the scripted expert's demonstrations as a LeRobot v3 dataset.

    Failed attempts are left out and counted, by reason, in `meta/collection.json`; `previews/` shows what was collected.
    Killed at any moment it loses the episodes in flight, and the same command resumes. On several machines give each one
    a shard: `dial collect --suite in_distribution --shard 3/8 --out shards/3`, then `dial data merge shards/* dataset`.
    """
    from dial_core.demonstrations.collect import collect as run
    from dial_core.demonstrations.collection_plan import CollectionPlan
    from dial_core.sim.suite import load_suite
    from dial_core.sim.task import load_task

    tasks = load_suite(suite).tasks if suite else tuple(load_task(name) for name in task)
    names, shares = tuple(each.name for each in tasks), (changed, missed, two_objects)
    plan = CollectionPlan(names, episodes, seed, disturbed, image_size, _shard(shard), spare, *shares, suite=suite)
    tallies = run(tasks, plan, out, workers)
    failures = sum(len(tally.failures) for tally in tallies.values())
    tried = sum(len(tally.tried) for tally in tallies.values())
    console.print(f"[bold]{episodes} x {len(tasks)}[/] episodes in {out}; {failures} of {tried} attempts failed", highlight=False)


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise DialError(f"--shard '{text}' is not K/N with K from 1 to N, for example 3/8")
    return int(part), int(parts)
