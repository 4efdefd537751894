"""The `dial` command: views and demonstrations from seeds, training, evaluation. `dial --help` shows the path."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from dial_core.errors import DialError
from dial_core.sim.task import EVALUATION_SEEDS_FROM

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="""DIAL from scratch on one machine. The path from nothing to a measured policy:

    1. `dial pretrain`: the tiny VLM learns to see and to point, from rendered views.
    2. `dial collect`: the scripted expert's episodes become a LeRobot v3 dataset.
    3. `dial train`: warmup, then end to end, on the dataset's cached image tokens.
    4. `dial eval`: success on scenes never trained on; `dial probe`: does the foresight carry the intent?

Everything comes from seeds and shows its ETA. Interrupted, `pretrain`, `collect` and `train` go on where they were if you
call them again; `eval`, `expert` and `probe` start anew.
""",
)
console = Console(stderr=True)

RESUMING = ("pretrain", "collect", "train")  # commands that go on where they were interrupted

Out = Annotated[Path, typer.Option(help="Folder to write to.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0 works in this one.")]
Checkpoint = Annotated[Path, typer.Argument(help="Checkpoint folder.")]
Episodes = Annotated[int, typer.Option(min=1, help="Scenes to run.")]
EvaluationSeed = Annotated[int, typer.Option(min=EVALUATION_SEEDS_FROM, help="First scene.")]
Videos = Annotated[int, typer.Option(min=0, help="Episodes to film.")]
Task = Annotated[str, typer.Option(help="Task, by its file in config/tasks/.")]


@app.command()
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


@app.command()
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


@app.command()
def train(
    start: Annotated[Path, typer.Option(help="Checkpoint folder that `dial pretrain` left.")],
    dataset: Annotated[Path, typer.Option(help="Dataset folder that `dial collect` left.")],
    out: Out,
    recipe: Annotated[str, typer.Option(help="Recipe, by name in config/training/ or a path.")] = "dial_tiny",
    workers: Workers = 2,
) -> None:
    """Train both stages: warmup (System-1 sees the true goal), then end to end (System-1 sees the foresight).

    First the frozen vision tower's tokens of every frame are computed, once, beside the dataset. Every stage leaves a
    log, TensorBoard events and a loss curve; the result is `OUT/checkpoint`, with a model card.
    """
    from dial_core.training.stages import train as run

    console.print(f"[bold]{run(recipe, start, dataset, out, workers, command_line())}[/]")


@app.command("eval")
def evaluate(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="Folder for result.json, result.md, success.png and videos.")] = Path("out/eval"),
    task: Task = "PlacematToPlate",
    episodes: Episodes = 100,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    workers: Workers = 2,
    videos: Videos = 3,
    execute_steps: Annotated[int, typer.Option(min=1, help="Control steps executed of each chunk.")] = 8,
    system2_period_steps: Annotated[int, typer.Option(min=1, help="Control steps between two foresights.")] = 8,
    system2_delay_steps: Annotated[int, typer.Option(min=0, help="Control steps until a foresight arrives.")] = 0,
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
        "execute_steps": execute_steps,
        "system2_period_steps": system2_period_steps,
        "system2_delay_steps": system2_delay_steps,
        "flow_steps": flow_steps,
        "instruct": instruct,
    }
    _evaluate(values, checkpoint, out, workers, videos)


@app.command()
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


@app.command()
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


def command_line() -> str:
    """This call as a user would type it, for the model card."""
    return " ".join(["dial", *sys.argv[1:]])


def main() -> None:
    """Entry point: errors that a user can mend are printed without a traceback."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        app()
    except DialError as error:
        console.print(f"[bold red]dial:[/] {error}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        resumes = any(command in RESUMING for command in sys.argv[1:2])
        news = "the same command goes on from here" if resumes else "the same command starts anew"
        console.print(f"[bold]interrupted[/]; {news}")
        sys.exit(130)


if __name__ == "__main__":
    main()
