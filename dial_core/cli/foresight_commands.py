"""`dial viz`, `dial foresight`: what System-2 expects to see, as images and in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from dial_core.cli.options import EvaluationSeed, Workers, console
from dial_core.sim.task import EVALUATION_SEEDS_FROM

Model = Annotated[str, typer.Argument(help="A checkpoint folder or name, or `tcp://HOST:PORT` of a `dial serve`.")]
Driver = Annotated[str, typer.Option(help="Who moves the robot: expert, the scripted one; or own, the checkpoint itself.")]
Suite = Annotated[str, typer.Option(help="Which scenes: a suite by name; an unknown name lists them.")]


def viz(
    checkpoint: Model,
    task: Annotated[str, typer.Option(help="A task of the suite.")] = "PlacematToPlate",
    seed: Annotated[int, typer.Option(min=EVALUATION_SEEDS_FROM, help="The scene.")] = EVALUATION_SEEDS_FROM,
    suite: Suite = "in_distribution",
    driver: Driver = "own",
    moments: Annotated[int, typer.Option(min=1, help="Rows of the figure, spread over the episode.")] = 4,
    at: Annotated[list[float], typer.Option(help="Show this moment [s] instead; may be repeated.")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="Folder for the figure (.png) and the video (.mp4).")] = Path("out/viz"),
) -> None:
    """Show what System-2 expects in one episode, as the paper's Fig. 12: a figure and a video.

    Side by side: the current view; in PCA colours of one basis the current view, the true future and the foresight; where
    the foresight expects change (1 - cosine by patch), and where it came. The colours mean nothing by themselves: equal
    colours are equal content.
    """
    from dial_core.evaluation.closed_loop.arena import Case
    from dial_core.evaluation.closed_loop.dial_policy import open_sessions
    from dial_core.evaluation.closed_loop.evaluate import prepare
    from dial_core.evaluation.closed_loop.policies import PolicySource
    from dial_core.evaluation.closed_loop.protocol import Protocol
    from dial_core.evaluation.studies.interpretation import Interpreter, watch

    source = PolicySource.with_foresight(checkpoint)
    protocol = prepare(Protocol(suite=suite, tasks=(task,), seed=seed, episodes=1), source)
    watched = watch(protocol, open_sessions(source.location, protocol), driver, Case(task, seed))
    interpreter = Interpreter(watched)
    out.mkdir(parents=True, exist_ok=True)
    name = f"{task.replace('/', '_')}-{seed}"
    figure, video = out / f"{name}.png", out / f"{name}.mp4"
    steps = [round(moment * watched.rate_hz) for moment in at] or interpreter.moments(moments)
    interpreter.figure(figure, steps)
    interpreter.video(video)
    ended = "succeeded" if watched.success else "did not succeed"
    console.print(f"“{watched.instruction}”: the robot {ended} in {len(watched.frames) / watched.rate_hz:.1f} s", highlight=False)
    console.print(f"  {figure}\n  {video}", highlight=False, soft_wrap=True)


def foresight(
    checkpoint: Model,
    suite: Suite = "in_distribution",
    task: Annotated[list[str], typer.Option("--task", help="Only this task of the suite; may be repeated.")] = [],  # noqa: B006
    episodes: Annotated[int, typer.Option(min=1, help="Scenes of each task.")] = 10,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    driver: Driver = "expert",
    several_objects: Annotated[bool, typer.Option("--several-objects", help="Only scenes in which a name decides.")] = False,
    workers: Workers = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for foresight.json, foresight.md and foresight.png; by default one in out/foresight/ named after what is measured."
        ),
    ] = None,
) -> None:
    """Measure how well System-2 predicts, by task and over the episode, against predicting "no change".

    Where several objects are in view, also whether it heeds the name: how often its foresight is nearer the future than the
    foresight of the same instruction with the other object.
    """
    from dial_core.evaluation.closed_loop.evaluate import prepare
    from dial_core.evaluation.closed_loop.origin import default_folder
    from dial_core.evaluation.closed_loop.policies import PolicySource
    from dial_core.evaluation.closed_loop.protocol import Protocol
    from dial_core.evaluation.closed_loop.suites import suite_tasks
    from dial_core.evaluation.studies.foresight_quality import measure, summarise_quality, write_quality

    source = PolicySource.with_foresight(checkpoint)
    tasks = tuple(task) or suite_tasks(suite)
    protocol = prepare(Protocol(policy=source.kind, suite=suite, tasks=tasks, episodes=episodes, seed=seed), source)
    measured = measure(protocol, source, driver, workers, several_objects)
    chosen = (driver, "several_objects") if several_objects else (driver,)
    folder = out or default_folder("foresight", suite, protocol, *chosen)
    console.print(Markdown(write_quality(folder, summarise_quality(protocol, driver, measured, several_objects))))
    console.print(f"[bold]{folder}[/]")
