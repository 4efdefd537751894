"""`dial smoothness` and `dial trace`: smoothness of the motion, and latencies from exposure to command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from dial_core.cli.options import Checkpoint, EvaluationSeed, Task, Workers, console
from dial_core.sim.task import EVALUATION_SEEDS_FROM


def smoothness(
    checkpoint: Checkpoint,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for result.json, result.md and result.png; by default one in out/smoothness/ named after what is measured."
        ),
    ] = None,
    task: Task = "PlacematToPlate",
    episodes: Annotated[int, typer.Option(min=1, help="Scenes for each strategy.")] = 20,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    strategies: Annotated[str, typer.Option(help="Which to compare, joined by commas.")] = "plain,replace,blend,ensemble,rtc",
    latency_s: Annotated[float, typer.Option(min=0.0, max=0.5, help="From a frame to its chunk or foresight [s].")] = 0.1,
    lead_s: Annotated[float, typer.Option(min=0.0, max=0.5, help="From a chunk to the moment it takes over [s].")] = 0.05,
    workers: Workers = 2,
) -> None:
    """Compare strategies for overlapping chunks: jerk of the commanded motion as a ratio, and success.

    The plan that the nodes play (splice, limits, measured delay) runs with the robot's timing on scenes never trained on.
    `plain` is the yardstick: each chunk hard-replaces the one before, without splice and limits.
    """
    from dial_core.control.overlap import STRATEGIES
    from dial_core.errors import DialError
    from dial_core.evaluation.closed_loop.origin import default_folder
    from dial_core.evaluation.reports.smoothness_report import write_smoothness
    from dial_core.evaluation.studies.smoothness import PLAIN, SmoothnessJob, protocol_of_all, run_smoothness
    from dial_core.jobs.progress import progress_bar
    from dial_core.jobs.workers import run_jobs

    chosen = [name.strip() for name in strategies.split(",")]
    if unknown := [name for name in chosen if name not in (PLAIN, *STRATEGIES)]:
        raise DialError(f"no strategy {', '.join(unknown)}; choose from {PLAIN}, {', '.join(STRATEGIES)}")
    protocol = protocol_of_all(checkpoint, task, episodes, seed, latency_s, lead_s)
    jobs = [SmoothnessJob(checkpoint, task, name, seed + k, latency_s, lead_s) for name in chosen for k in range(episodes)]
    results = []
    with progress_bar("smoothness", len(jobs)) as advance:
        for done in run_jobs(run_smoothness, jobs, workers):
            if done.value is None:
                raise DialError(f"episode of seed {done.job.seed} with strategy {done.job.strategy} failed: {done.error}")
            results.append(done.value)
            advance(1, f"{sum(result.success for result in results)} of {len(results)} succeeded")
    order = {name: k for k, name in enumerate(chosen)}
    results.sort(key=lambda result: (order[result.strategy], result.seed))
    settings = {"checkpoint": str(checkpoint), "task": task, "first seed": seed, "latency [s]": latency_s, "splice lead [s]": lead_s}
    made = f"`dial {shlex.join(sys.argv[1:])}`, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}."
    folder = out or default_folder("smoothness", task, protocol, *chosen)
    console.print(Markdown(write_smoothness(folder, results, settings, made, protocol)))
    console.print(f"[bold]{folder}[/]")


def trace(
    file: Annotated[Path, typer.Argument(help="A trace of System-1 (its parameter trace_file), .csv or .jsonl.")],
    out: Annotated[Path | None, typer.Option(help="The file, .png; default: beside the trace.")] = None,
    start_s: Annotated[float, typer.Option(min=0.0, help="Start of the timeline, after the first row of the trace [s].")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of the timeline [s].")] = 4.0,
) -> None:
    """Draw the timeline of a run: frame to foresight, frame to chunk by stage, what the robot follows, states and refusals.

    Also prints how long the chunks spent in each stage between exposure and command, over the whole trace.
    """
    from dial_core.control.trace_plot import draw_timeline
    from dial_core.control.tracing import read_trace, stage_table

    rows = read_trace(file)
    file = out or file.with_suffix(".png")
    draw_timeline(rows, file, start_s, seconds)
    table = Table(title=f"exposure to command, {sum(row.kind == 'chunk' and row.sent_ns > 0 for row in rows)} chunks")
    for column in ("stage", "median [ms]", "p95 [ms]", "longest [ms]"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, times in stage_table(rows).items():
        table.add_row(stage, *(f"{1000 * times[key]:.1f}" for key in ("median", "p95", "longest")))
    console.print(table)
    console.print(str(file), highlight=False, soft_wrap=True)
