"""`make demo`: a humanoid does three tasks in simulation, through the real nodes; figures and films in out/demo/.

python -m dial_ros.tools.demo [--help]
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from dial_core.checkpoint.location import DEFAULT_CHECKPOINT, checkpoint_folder
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.inference import COMPILE_SWITCH
from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.task import load_task
from dial_ros.node.states import SYSTEM1_STATES
from dial_ros.tools.demo_report import TrialFigures, figures, summary
from dial_ros.tools.simulation import running_simulation
from dial_ros.tools.trials import Trial

TASKS = ("PlacematToPlate", "TrayToPot", "BottleToCabinetClose")  # one of two objects by name, a rim to clear, a door to close
FIRST_SEED = 100_000  # training uses the seeds below


class Progress:
    """Shows a trial while it runs: a live table on a terminal, a line every few seconds elsewhere."""

    def __init__(self, console: Console, of: int) -> None:
        self._console, self._of = console, of
        self._number = 0
        self._live: Live | None = None
        self._last_line_s = 0.0

    def begin(self) -> None:
        """Starts to show the next trial."""
        self._number += 1
        self._last_line_s = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def update(self, trial: Trial) -> None:
        """Redraws; called about ten times a second."""
        if self._live:
            self._live.update(self._table(trial))
        elif time.monotonic() - self._last_line_s > 5:
            self._last_line_s = time.monotonic()
            self._console.print("  " + ", ".join(f"{name} {value}" for name, value in _rows(trial)[1:]), highlight=False)

    def end(self, result: TrialFigures | None) -> None:
        """Stops showing the trial; `result` is None if it was aborted."""
        if self._live:
            self._live.stop()
            self._live = None
        if result:
            verdict = "[green]done[/]" if result.success else "[red]not done in time[/]"
            self._console.print(
                f"[bold]{self._number}/{self._of}[/] {verdict}  “{result.instruction}”  {result.sim_s:.1f} s simulated, "
                f"{result.wall_s:.1f} s real; System-2 {result.system2_rate_hz:.1f} Hz, System-1 {result.system1_rate_hz:.1f} Hz",
                highlight=False,
            )

    def _table(self, trial: Trial) -> Table:
        table = Table(title=f"trial {self._number} of {self._of}", show_header=False, title_justify="left")
        for name, value in _rows(trial):
            table.add_row(name, value)
        return table


def _rows(trial: Trial) -> list[tuple[str, str]]:
    """Returns what the table shows of a trial."""
    rows = [
        ("instruction", trial.instruction),
        ("time", f"{trial.sim_s:.1f} s simulated ({trial.sim_s / max(trial.wall_s, 1e-3):.2f} of real time)"),
    ]
    if trial.system1 and trial.system2:
        one, two = trial.system1[-1], trial.system2[-1]
        state = SYSTEM1_STATES.get(one.state, "?") + (f" ({one.reason})" if one.reason else "")
        rows += [
            ("System-1", f"{state}, {one.chunk_rate:.1f} chunks/s"),
            ("System-2", f"{two.foresight_rate:.1f} foresights/s"),
            ("foresight age", f"{one.foresight_age:.2f} s"),
            ("camera to command", f"{1000 * one.camera_to_command_latency:.0f} ms"),
        ]
    return rows


def run_trials(chosen: argparse.Namespace, console: Console, recording: bool) -> tuple[list[Trial], list[TrialFigures], str]:
    """Starts the graph and runs all trials; returns them, their figures and the checkpoint's model id.

    What is compiled already is used, and nothing is compiled meanwhile: it would take time from the robot.
    """
    os.environ.setdefault(COMPILE_SWITCH, "0")
    trials, results = [], []
    scenes = [(task, seed) for task in chosen.task for seed in range(chosen.seed, chosen.seed + chosen.trials)]
    allowed_s = limits_s(chosen)
    progress = Progress(console, len(scenes))
    console.print("starting system2, system1 and mujoco_robot ...")
    options = {name: getattr(chosen, name) for name in ("seed", "scene_camera", "real_time_factor")}
    with running_simulation(chosen.out / "log", recording, checkpoint=str(chosen.checkpoint), **options) as operator:
        for task, seed in scenes:
            progress.begin()
            result = None
            try:
                trial = operator.run(seed, allowed_s[task], progress.update, task)
                result = figures(trial)
            finally:
                progress.end(result)
            trials.append(trial)
            results.append(result)
        model_id = trials[-1].system2[-1].model_id
    return trials, results, model_id


def arguments(description: str, trials: int, tasks: Sequence[str], out: str) -> argparse.ArgumentParser:
    """Returns the parser of the options that the demo and the evaluation share; `tasks`: those of a run that names none."""
    parser = argparse.ArgumentParser(
        prog=os.environ.get("DIAL_PROG"), description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.set_defaults(task=[])  # here and not below, where the help would show it beside the tasks
    parser.add_argument("--trials", type=int, default=trials, help="how many of each task, on successive seeds")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="seed of the first scene; training uses 0 to 99999")
    over = "simulated seconds until a trial counts as failed; 0: as many as the task allows"
    parser.add_argument("--limit-s", type=float, default=0.0, help=over)
    one = f"name in config/tasks or a YAML file; may be repeated; none: {', '.join(tasks)}"
    parser.add_argument("--task", type=_task, action="append", default=argparse.SUPPRESS, help=one)
    named = "trained model: a folder, or a name such as dial_tiny"
    parser.add_argument("--checkpoint", type=checkpoint_folder, default=DEFAULT_CHECKPOINT, help=named)
    parser.add_argument("--real-time-factor", type=float, default=1.0, help="simulated over wall time, at most; 0: as fast as it goes")
    parser.add_argument("--scene-camera", action="store_true", help="also film from the side (costs simulation speed)")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder for the results")
    return parser


def limits_s(chosen: argparse.Namespace) -> dict[str, float]:
    """Task -> simulated time that a trial may take [s]: without `--limit-s` as in the harness without ROS, so that rates compare."""
    rate_hz = load_embodiment().rate_hz
    return {task: chosen.limit_s or load_task(task).max_steps / rate_hz for task in chosen.task}


def _task(text: str) -> str:
    """Makes the path of a task file absolute: the node that loads it runs in another folder."""
    return str(Path(text).resolve()) if text.endswith((".yaml", ".yml")) else text


def main(words: Sequence[str] | None = None) -> int:
    """Runs the demo; returns 0 if the graph ran and the files were written, whether or not the robot succeeded."""
    console = Console()
    try:
        chosen = arguments(__doc__.splitlines()[0], trials=1, tasks=TASKS, out="out/demo").parse_args(words)
        chosen.task = chosen.task or list(TASKS)
        trials, results, model_id = run_trials(chosen, console, recording=True)
        settings = {"limit_s": limits_s(chosen), "real_time_factor_limit": chosen.real_time_factor}
        write_json(chosen.out / "summary.json", summary(results, model_id, settings))
        console.print("drawing demo.mp4, demo.gif, foresight.png ...")
        draw(chosen, trials)
    except DialError as error:
        console.print(f"[red]demo failed:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    console.print(table_of(results))
    for name in ("summary.json", "demo.mp4", "demo.gif", "foresight.png"):
        console.print(f"  {chosen.out / name}", highlight=False, soft_wrap=True)
    return 0


def draw(chosen: argparse.Namespace, trials: Sequence[Trial]) -> None:
    """Writes demo.mp4 of all trials, and demo.gif and foresight.png of the first successful one (or of the first)."""
    from dial_ros.tools.demo_video import (  # torch again: only now, the nodes need the cores
        Vision,
        write_foresight_figure,
        write_gif,
        write_video,
    )

    shown = [trial for trial in trials if trial.foresights and trial.ego]
    if not shown:
        raise DialError(f"no foresight was published in any trial; {chosen.out / 'log' / 'system2.log'} says why")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    vision = Vision.of(chosen.checkpoint, shown)
    write_video(chosen.out / "demo.mp4", shown, vision)
    best = next((trial for trial in shown if trial.success), shown[0])
    write_gif(chosen.out / "demo.gif", best, vision)
    write_foresight_figure(chosen.out / "foresight.png", best, vision)


def table_of(results: Sequence[TrialFigures]) -> Table:
    """Returns the trials' figures as a table."""
    caption = (
        "Simulated s and Hz (real: wall s). Sys-2: foresights, Sys-1:\n"
        "chunks. age, max: of a chunk's foresight. delay, p99: from\n"
        "camera to command. refused: chunks."
    )
    table = Table(caption=caption, caption_justify="left", box=box.SIMPLE, padding=0)
    columns = {"task": "task"} if len({result.task for result in results}) > 1 else {}
    columns |= {
        "seed": "seed",
        "done": "success",
        "s": "sim_s",
        "real": "wall_s",
        "Sys-2": "system2_rate_hz",
        "Sys-1": "system1_rate_hz",
        "age": "foresight_age_median_s",
        "max": "foresight_age_max_s",
        "delay": "camera_to_command_latency_median_s",
        "p99": "camera_to_command_latency_p99_s",
        "refused": "rejected_chunks",
    }
    for name in columns:
        table.add_column(name, justify="right")
    for result in map(asdict, results):
        cells = (result[key] for key in columns.values())
        table.add_row(*("yes" if c is True else "no" if c is False else f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells))
    return table


if __name__ == "__main__":
    sys.exit(main())
