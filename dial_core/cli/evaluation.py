"""`dial eval`, `dial expert`, `dial probe`: success in closed loop, and what it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from dial_core.cli.options import Checkpoint, Episodes, EvaluationSeed, Task, Videos, Workers, console
from dial_core.sim.task import EVALUATION_SEEDS_FROM


def evaluate(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="Folder for result.json, result.md, success.png and videos.")] = Path("out/eval"),
    task: Task = "PlacematToPlate",
    episodes: Episodes = 100,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    workers: Workers = 2,
    videos: Videos = 3,
    strategy: Annotated[str, typer.Option(help="Where chunks overlap: ensemble, replace, blend or rtc.")] = "ensemble",
    execute_steps: Annotated[int, typer.Option(min=1, help="Control steps from one chunk to the next.")] = 3,
    system2_period_steps: Annotated[int, typer.Option(min=1, help="Control steps between two foresights.")] = 5,
    system2_delay_steps: Annotated[int, typer.Option(min=0, help="Control steps until a foresight arrives.")] = 1,
    flow_steps: Annotated[int, typer.Option(min=1, help="Euler steps of the action decoder.")] = 4,
    instruct: Annotated[str, typer.Option(help="scene: as the seed says; other: name the other of two objects.")] = "scene",
) -> None:
    """Measure a checkpoint in closed loop on scenes never trained on, with a 95 % Wilson interval.

    Both sessions run in lockstep with the simulated clock, without ROS. A crashed episode is a failure.
    """
    values = {
        "task": task,
        "episodes": episodes,
        "seed": seed,
        "strategy": strategy,
        "execute_steps": execute_steps,
        "system2_period_steps": system2_period_steps,
        "system2_delay_steps": system2_delay_steps,
        "flow_steps": flow_steps,
        "instruct": instruct,
    }
    _evaluate(values, checkpoint, out, workers, videos)


def expert(
    out: Annotated[Path, typer.Option(help="Folder for result.json, result.md, success.png and videos.")] = Path("out/expert"),
    task: Task = "PlacematToPlate",
    episodes: Episodes = 200,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    workers: Workers = 2,
    videos: Videos = 3,
) -> None:
    """Measure the scripted expert under the same protocol: what a learner can reach at best."""
    values = {"policy": "expert", "task": task, "episodes": episodes, "seed": seed}
    _evaluate(values, None, out, workers, videos)


def probe(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="Folder for result.json, result.md and success.png.")] = Path("out/probe"),
    task: Task = "PlacematToPlate",
    episodes: Episodes = 50,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    workers: Workers = 2,
) -> None:
    """Show whether the foresight carries the intent: a wrong instruction's, zeros, a frozen first one; the other object named."""
    from dial_core.evaluation.probes import probe as run
    from dial_core.evaluation.protocol import Protocol
    from dial_core.evaluation.report import write_report

    protocol = Protocol(task=task, episodes=episodes, seed=seed)
    console.print(Markdown(write_report(out, run(protocol, checkpoint, workers), "What the foresight carries")))


def _evaluate(values: dict, checkpoint: Path | None, out: Path, workers: int, videos: int) -> None:
    from dial_core.config import validate
    from dial_core.evaluation.probes import evaluate as run
    from dial_core.evaluation.protocol import Protocol
    from dial_core.evaluation.report import write_report

    protocol = validate(Protocol, values, source="dial eval")
    summary = run(protocol, checkpoint, workers, out / "videos", videos)
    console.print(Markdown(write_report(out, {protocol.policy: summary}, protocol.task)))
