"""The `dial` command: views and demonstrations from seeds, training, evaluation. `dial --help` shows the path."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dial_core.cli import (
    bag_commands,
    begin_commands,
    bench_commands,
    benchmark_commands,
    data_commands,
    draw_commands,
    eval_commands,
    export_commands,
    foresight_commands,
    learning_commands,
    motion_commands,
    operator_commands,
    release_commands,
    reproduce_commands,
    robot_commands,
    serve_commands,
    task_commands,
    train_commands,
)
from dial_core.cli.options import console, results
from dial_core.errors import DialError
from dial_core.files.disk_space import full_disk, is_disk_full
from dial_core.files.refused_paths import refused_path

# Commands that resume where they were interrupted.
RESUMING = (
    "pretrain",
    "pretrain-encoder",
    "collect",
    "tokens",
    "train",
    "eval",
    "expert",
    "probe",
    "convert",
    "data human",
    "record",
    "reproduce",
)
RESUMED = ", ".join(f"`{name}`" for name in RESUMING[:-1]) + f" and `{RESUMING[-1]}`"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help=f"""DIAL from scratch on one machine. The path from nothing to a measured policy:

1. `dial pretrain`: the tiny VLM learns to see and to point, from rendered views.

2. `dial collect`: the scripted expert's episodes become a LeRobot v3 dataset.

3. `dial train`: warmup, then end to end, on the dataset's cached image tokens.

4. `dial eval`: success on scenes never trained on; `dial probe`: does the foresight carry the intent?

`dial reproduce` does all of it, for every variant, and writes the tables.

First: `dial demo` shows it; `dial sim` starts the simulated robot, and `dial instruct`, `stop`, `status` talk to it from any other shell.

On the robot: `dial smoothness`: how smooth the motion is and what it costs; `dial trace`: where the time goes.

From the robot: `dial record`, `dial convert bag`; back to it: `dial replay`; a killed recording: `dial repair`.

Everything comes from seeds and shows its ETA. Interrupted, {RESUMED}
resume where they stopped if you call them again; the others start over.
""",
)

COMMANDS: dict[str, Callable[..., None]] = {
    "pretrain": learning_commands.pretrain,
    "pretrain-encoder": learning_commands.pretrain_encoder,
    "tasks": task_commands.tasks,
    "collect": learning_commands.collect,
    "begin": begin_commands.begin,
    "tokens": reproduce_commands.tokens,
    "train": train_commands.train,
    "eval": eval_commands.evaluate,
    "expert": eval_commands.expert,
    "probe": eval_commands.probe,
    "change": eval_commands.change,
    "reproduce": reproduce_commands.reproduce,
    "compare": eval_commands.compare,
    "table": eval_commands.table,
    "merge": eval_commands.merge,
    "foresight": foresight_commands.foresight,
    "viz": foresight_commands.viz,
    "serve": serve_commands.serve,
    "export": export_commands.export,
    "import-release": release_commands.import_release,
    "export-release": release_commands.export_release,
    "parity": release_commands.parity,
    "draw": draw_commands.draw,
    "embodiment": robot_commands.embodiment,
    "smoothness": motion_commands.smoothness,
    "trace": motion_commands.trace,
    "record": bag_commands.record,
    "repair": bag_commands.repair,
}


def _show_version(asked: bool) -> None:
    if asked:
        results.print(f"dial {version('dial_ros')}", highlight=False)
        raise typer.Exit


for name, command in COMMANDS.items():
    app.command(name)(command)
operator_commands.add_to(app)
app.add_typer(bench_commands.app, name="bench")
app.add_typer(data_commands.data_app, name="data")
app.add_typer(bag_commands.convert_app, name="convert")  # cli/data_commands.py adds to it
app.add_typer(benchmark_commands.robocasa_app, name="robocasa")
app.add_typer(bag_commands.replay_app, name="replay")


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None: ...


def main() -> None:
    """Entry point. Errors that a user can fix are printed without a traceback."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        app()
    except DialError as error:
        console.print(f"[bold red]dial:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except OSError as error:
        if is_disk_full(error):
            file = Path(error.filename or Path.cwd())
            message: str | None = str(full_disk(file.parent, file.name))
        else:
            message = refused_path(error)
        if message is None:
            raise
        console.print(f"[bold red]dial:[/] {escape(message)}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        resumes = any(command in RESUMING for command in (*sys.argv[1:2], " ".join(sys.argv[1:3])))
        next_step = "the same command resumes from here" if resumes else "the same command starts over"
        console.print(f"[bold]interrupted[/]; {next_step}")
        sys.exit(130)
