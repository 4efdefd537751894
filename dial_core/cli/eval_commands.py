"""`dial eval`, `dial expert`, `dial probe`, `dial compare`, `dial merge`: success in closed loop and its analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from dial_core.cli.options import EvaluationSeed, Ray, Videos, Workers, console
from dial_core.errors import DialError
from dial_core.files.atomic import write_json, write_text
from dial_core.sim.task import EVALUATION_SEEDS_FROM

POLICY = (
    "A checkpoint (folder or name), `tcp://HOST:PORT` of `dial serve`, `ws://HOST:PORT?name=NAME` of openpi (NAME: yours for the policy, "
    "which its server may not report), `expert`, `random`, `replay:DATASET`."
)
Suite = Annotated[str, typer.Option(help="Which scenes: a suite by name; an unknown name lists them.")]
Tasks = Annotated[
    list[str],
    typer.Option("--task", help="Only this task of the suite, or your own YAML file; may be repeated."),
]
Episodes = Annotated[int, typer.Option(min=0, help="Scenes of each task; 0: as many as the suite's protocol says (100, RoboCasa 50).")]
Out = Annotated[Path | None, typer.Option(help="Folder to write to; by default one in out/ named after what is measured.")]


def evaluate(
    policy: Annotated[str, typer.Argument(help=POLICY)],
    suite: Suite = "in_distribution",
    task: Tasks = [],  # noqa: B006  # typer reads it, nothing changes it
    episodes: Episodes = 0,
    seed: Annotated[int, typer.Option(min=0, help="First scene of each task: from 100000, or (replay only) any.")] = EVALUATION_SEEDS_FROM,
    out: Out = None,
    workers: Workers = 2,
    ray: Ray = "",
    videos: Annotated[int, typer.Option(min=0, help="Episodes of each task to film.")] = 1,
    against: Annotated[str, typer.Option(help="A second policy on the same scenes: both are run, then compared (McNemar).")] = "",
    sweep: Annotated[
        list[str],
        typer.Option(help="NAME=VALUE,VALUE,...: one evaluation for each value, e.g. system2_period=0.25,0.5,1 [s]; may be repeated."),
    ] = [],  # noqa: B006
    shard: Annotated[str, typer.Option(help="K/N: only the K-th of N equal parts, for many machines; `dial merge` joins them.")] = "1/1",
    strategy: Annotated[str | None, typer.Option(help="Where chunks overlap: ensemble, replace, blend or rtc.")] = None,
    execute_steps: Annotated[int | None, typer.Option(min=1, help="Control steps from one chunk to the next.")] = None,
    system2_period_steps: Annotated[int | None, typer.Option(min=1, help="Control steps between two foresights.")] = None,
    system2_delay_steps: Annotated[int | None, typer.Option(min=0, help="Control steps until a foresight arrives.")] = None,
    system1_delay_s: Annotated[float | None, typer.Option(min=0, help="Time from a frame to its chunk [s].")] = None,
    splice_lead_s: Annotated[float | None, typer.Option(min=0, help="Time from a chunk to the moment at which it takes over [s].")] = None,
    flow_steps: Annotated[int | None, typer.Option(min=1, help="Euler steps of the action decoder.")] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="What a checkpoint computes with (`dial export`): eager, aoti, onnx, int8, or with --device cuda tensorrt-bf16 ..."
        ),
    ] = None,
    instruct: Annotated[str, typer.Option(help="scene: as the seed says; other: name another object in view.")] = "scene",
    protocol: Annotated[
        str, typer.Option(help="Protocol of a benchmark: authors, authors_settled or strict. Our own suites have only one.")
    ] = "",
    device: Annotated[str, typer.Option(help="Where a checkpoint computes: cpu, cuda, cuda:1; each worker loads its own.")] = "cpu",
) -> None:
    """Measure a policy in closed loop on scenes never trained on, with 95 % Wilson intervals.

    Runs the loop of the System-1 node (foresight gate, splice, limits, emulated controllers) in lockstep with the simulated
    clock, without ROS. Success is judged at every control step; a crashed episode is a
    failure; an audit checks for known evaluation mistakes before anything is reported. Interrupted, the same command
    resumes where it stopped. `OUT/` then holds result.json, result.md, success.png and videos/. Timing that is not given is that of
    the ROS loop (chunks every 3 control steps and 0.07 s late, foresights every 5 and 1 step late), or what the suite's authors fixed.
    """
    timing = {
        "strategy": strategy,
        "execute_steps": execute_steps,
        "system2_period_steps": system2_period_steps,
        "system2_delay_steps": system2_delay_steps,
        "system1_delay_s": system1_delay_s,
        "splice_lead_s": splice_lead_s,
        "flow_steps": flow_steps,
        "instruct": instruct,
        "runtime": runtime,
    }
    values = _scenes(suite, task, episodes, seed, protocol) | {key: value for key, value in timing.items() if value is not None}
    if (sweep or against) and shard != "1/1":
        raise DialError(
            "--shard goes neither with --sweep nor with --against; run each policy in shards, then `dial merge` and `dial compare`"
        )
    if sweep and against:
        raise DialError("--sweep does not go with --against; sweep one policy after the other")
    if sweep:
        _sweep(values, policy, out, workers, sweep, device)
        return
    first, folder = _evaluate(values, policy, out, workers, videos, shard, device)
    if against:
        second, other = _evaluate(values, against, out and out / "against", workers, videos, shard, device)
        _compare(first, second, folder / f"against-{other.name}" if out is None else folder / "comparison")


def expert(
    suite: Suite = "in_distribution",
    task: Tasks = [],  # noqa: B006
    episodes: Episodes = 0,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    out: Out = None,
    workers: Workers = 2,
    ray: Ray = "",
    videos: Videos = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the summary here.")] = None,
) -> None:
    """Measure the scripted expert under the same protocol, for reference."""
    summary, _ = _evaluate(_scenes(suite, task, episodes, seed), "expert", out, workers, videos, "1/1")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_file, summary)


def probe(
    policy: Annotated[str, typer.Argument(help="A checkpoint folder or name, or `tcp://HOST:PORT` of a `dial serve`.")],
    suite: Annotated[str, typer.Option(help="Which scenes: a suite by name, all its tasks. Without it and --task: PlacematToPlate.")] = "",
    task: Tasks = [],  # noqa: B006
    episodes: Episodes = 50,
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    out: Out = None,
    workers: Workers = 2,
    ray: Ray = "",
    only: Annotated[list[str], typer.Option(help="Only this probe, by its name in the table; may be repeated.")] = [],  # noqa: B006
) -> None:
    """Measure what information the foresight carries, on the same scenes each time.

    Its own; that of a wrong instruction; zeros; 0.8 s old; the episode's first, frozen; the future the expert would bring
    about; and, with its own, the other object named. A policy that rests on its foresight does what the foresight says.
    """
    from dial_core.evaluation.closed_loop.evaluate import prepare
    from dial_core.evaluation.closed_loop.policies import PolicySource
    from dial_core.evaluation.reports.result_page import write_table
    from dial_core.evaluation.studies.probes import probe as run

    source = PolicySource.with_foresight(policy)
    protocol = prepare(_protocol(_scenes(*_probed(suite, task), episodes, seed)), source)
    folder = out or Path("out/probe") / f"{protocol.suite}-{protocol.hash}"
    console.print(Markdown(write_table(folder, run(protocol, source, folder, workers, tuple(only)), "What the foresight carries")))
    console.print(f"[bold]{folder}[/]")


def change(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint folder or name, or `tcp://HOST:PORT` of a `dial serve`.")],
    task: Annotated[str, typer.Option(help="A task whose scenes have two objects.")] = "PlacematToPlate",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes for each time of change.")] = 20,
    after: Annotated[list[float], typer.Option(help="When the instruction changes [s]; may be repeated.")] = [1.0, 2.0, 3.0],  # noqa: B006
    seed: EvaluationSeed = EVALUATION_SEEDS_FROM,
    out: Out = None,
) -> None:
    """Change the instruction to the other object during the motion, and count which one is moved."""
    from dial_core.evaluation.closed_loop.dial_policy import DialPolicy, open_sessions
    from dial_core.evaluation.closed_loop.evaluate import prepare
    from dial_core.evaluation.closed_loop.origin import default_folder
    from dial_core.evaluation.closed_loop.policies import PolicySource
    from dial_core.evaluation.closed_loop.protocol import Protocol
    from dial_core.evaluation.studies.instruction_change import study, write_changes
    from dial_core.jobs.progress import progress_bar

    source = PolicySource.with_foresight(checkpoint)
    protocol, location = prepare(Protocol(tasks=(task,), episodes=scenes, seed=seed), source), source.location
    policy = DialPolicy(*open_sessions(location, protocol), protocol)
    with progress_bar(f"changes of instruction on {task}", scenes * len(after), 0) as advance:
        changes = study(policy, protocol, task, scenes, after, lambda change: advance(1, f"{change.seed}: {change.outcome}"))
    folder = out or default_folder("change", task, protocol, "after", *(f"{at_s:g}" for at_s in after))
    console.print(Markdown(write_changes(folder, checkpoint, protocol, changes)))
    console.print(f"[bold]{folder}[/]")


def compare(
    first: Annotated[Path, typer.Argument(help="Folder (or result.json) of a `dial eval`.")],
    second: Annotated[Path, typer.Argument(help="Another one, on the same scenes.")],
    out: Annotated[Path | None, typer.Option(help="Also write comparison.json, comparison.md and comparison.png into this folder.")] = None,
) -> None:
    """Compare two results scene by scene: wins of each, the difference with its interval, McNemar's exact p-value."""
    from dial_core.evaluation.reports.compare import load_summary

    _compare(load_summary(first), load_summary(second), out)


def table(
    results_of: Annotated[list[Path], typer.Argument(help="result.json files, or their folders, of one policy.", metavar="RESULT...")],
) -> None:
    """Print results of one policy on several suites as Markdown tables; of a task given twice the last result counts."""
    from dial_core.evaluation.reports.compare import load_summary
    from dial_core.evaluation.reports.suite_tables import suite_tables

    print(suite_tables([load_summary(path) for path in results_of]))


def merge(
    shards: Annotated[list[Path], typer.Argument(help="The --out folders of `dial eval --shard 1/N` .. `N/N`.")],
    out: Annotated[Path, typer.Option(help="Folder for the joined result.")],
) -> None:
    """Merge the shards of one evaluation; the result equals that of an unsharded run, and passes the same audit."""
    from dial_core.evaluation.closed_loop.evaluate import merge as run

    _report(run(shards), out)


def _scenes(suite: str, tasks: list[str], episodes: int, seed: int, rules: str = "") -> dict:
    from dial_core.evaluation.closed_loop.suites import suite_protocol, suite_tasks

    fixed = suite_protocol(suite, rules)
    return {**fixed, "suite": suite, "tasks": tuple(tasks) or suite_tasks(suite), "episodes": episodes or fixed["episodes"], "seed": seed}


def _probed(suite: str, tasks: list[str]) -> tuple[str, list[str]]:
    """The suite and tasks of a probe; an empty list is all of the suite."""
    return suite or "in_distribution", tasks if tasks or suite else ["PlacematToPlate"]


def _protocol(values: dict):
    from dial_core.config import validate
    from dial_core.evaluation.closed_loop.protocol import Protocol

    return validate(Protocol, values, source="dial eval")


def _evaluate(values: dict, policy: str, out: Path | None, workers: int, videos: int, shard: str, device: str = "cpu") -> tuple[dict, Path]:
    from dial_core.evaluation.closed_loop.evaluate import evaluate as run
    from dial_core.evaluation.closed_loop.evaluate import prepare
    from dial_core.evaluation.closed_loop.ledger import Shard
    from dial_core.evaluation.closed_loop.policies import PolicySource

    source = PolicySource.parse(policy, device)
    protocol = prepare(_protocol(values | {"policy": source.kind}), source)
    part = Shard.parse(shard)
    name = f"{protocol.policy}-{protocol.suite}-{protocol.hash}" + (f"-{part.number}of{part.of}" if part.of > 1 else "")
    folder = out or Path("out/eval") / name
    summary = run(protocol, source, folder, workers, videos, part)
    _report(summary, folder)
    return summary, folder


def _report(summary: dict, folder: Path) -> None:
    from dial_core.evaluation.reports.result_page import write_report

    console.print(Markdown(write_report(folder, summary, summary["protocol"]["suite"])))
    console.print(f"[bold]{folder}[/]")


def _sweep(values: dict, policy: str, out: Path | None, workers: int, sweeps: list[str], device: str) -> None:
    from dial_core.evaluation.closed_loop.evaluate import evaluate as run
    from dial_core.evaluation.closed_loop.evaluate import prepare
    from dial_core.evaluation.closed_loop.policies import PolicySource
    from dial_core.evaluation.reports.plots import draw_curve
    from dial_core.evaluation.reports.result_page import write_table
    from dial_core.evaluation.studies.sweep import expand
    from dial_core.robot.embodiment import load_embodiment

    source = PolicySource.parse(policy, device)
    base = _protocol(values | {"policy": source.kind})
    protocols = {name: prepare(protocol, source) for name, protocol in expand(base, sweeps, load_embodiment().rate_hz).items()}
    first = next(iter(protocols.values()))
    folder = out or Path("out/sweep") / f"{first.policy}-{first.suite}-{first.hash}"
    summaries = {name: run(protocol, source, folder / protocol.hash, workers) for name, protocol in protocols.items()}
    title = f"{first.suite}: {' and '.join(sweep.partition('=')[0] for sweep in sweeps)}"
    console.print(Markdown(write_table(folder, summaries, title)))
    ages = [summary["foresight_age_s"] for summary in summaries.values()]
    if all(age is not None for age in ages):
        counts = [summary["success"] for summary in summaries.values()]
        draw_curve(ages, counts, folder / "success_by_age.png", title, "age of the foresight acted on, mean [s]")
    console.print(f"[bold]{folder}[/]")


def _compare(first: dict, second: dict, out: Path | None) -> None:
    from dial_core.evaluation.reports.compare import compare as run
    from dial_core.evaluation.reports.compare import comparison_markdown
    from dial_core.evaluation.reports.plots import draw_groups

    comparison = run(first, second)
    text = comparison_markdown(comparison)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "comparison.json", comparison)
        write_text(out / "comparison.md", text)
        both = (first, second)
        bars = {name: {t: r["success"] for t, r in s["by_task"].items()} for name, s in zip(("A", "B"), both, strict=True)}
        draw_groups(bars, out / "comparison.png", "A: {}. B: {}".format(*comparison["names"]))
    console.print(Markdown(text))
