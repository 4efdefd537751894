"""How well System-2 sees ahead: its error against what is really seen one horizon later, relative to predicting "no change".

Among several objects also whether it heeds the name: its foresight against that of the same instruction with the other object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.dial_policy import open_sessions
from dial_core.evaluation.closed_loop.ledger import all_cases
from dial_core.evaluation.closed_loop.origin import origin_of
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.suites import holds_several_objects
from dial_core.evaluation.reports.intervals import FEWEST_SEEDS, bootstrap_interval, wilson_interval
from dial_core.evaluation.studies.interpretation import Watched, watch
from dial_core.files.atomic import write_json, write_text
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs

BINS = 10  # of the episode's length


@dataclass(frozen=True)
class Errors:
    """One episode's foresights, oldest first.

    Attributes:
        task, seed: the scene.
        progress: where in the episode each was made, 0 to 1.
        foresight: mean squared error of each x_t against Enc_ViT(o_{t+H}), o clamped at the episode's last frame.
        no_change: that of Enc_ViT(o_t) against the same.
        misnamed: that of the foresight had the other object in view been named; empty without one.
    """

    task: str
    seed: int
    progress: list[float]
    foresight: list[float]
    no_change: list[float]
    misnamed: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class QualityJob:
    """One episode to watch, driven by `driver`: `expert`, or `own` for the checkpoint itself."""

    protocol: Protocol
    location: str
    driver: str
    case: Case


def measure(protocol: Protocol, source: PolicySource, driver: str, workers: int, several_objects: bool = False) -> list[Errors]:
    """The foresight errors of one episode of every scene of the protocol, in the order of the scenes.

    Args:
        protocol: tasks, scenes, timing and camera.
        source: the checkpoint.
        driver: who moves the robot, `expert` or `own`.
        workers: processes.
        several_objects: leave out the scenes in which the source holds one object only.

    Raises:
        DialError: no model to measure, an unknown driver, no scene with several objects, or an episode that crashed: errors of the
            rest would not be those of the suite.
    """
    if source.kind != "checkpoint":
        raise DialError(f"policy '{source.kind}' has no foresight to measure; give a checkpoint or tcp://HOST:PORT")
    if driver not in ("expert", "own"):
        raise DialError(f"driver '{driver}' is unknown; choose expert (the demonstrated way) or own (what the checkpoint does)")
    cases = all_cases(protocol)
    if several_objects:
        cases = [case for case in cases if holds_several_objects(protocol.suite, case)]
        if not cases:
            raise DialError(f"no scene of seeds {protocol.seed} to {protocol.seed + protocol.episodes - 1} holds several objects to name")
    jobs = [QualityJob(protocol, source.location, driver, case) for case in cases]
    measured: dict[Case, Errors] = {}
    with progress_bar(f"foresights, driven by {driver}", len(jobs)) as advance:
        for result in run_jobs(errors_of, jobs, workers):
            if result.error:
                raise DialError(f"the episode of {result.job.case} crashed: {result.error}")
            measured[result.job.case] = result.value
            advance(1)
    return [measured[case] for case in cases]


def errors_of(job: QualityJob) -> Errors:
    """Watches one episode and measures every foresight made in it."""
    return errors(watch(job.protocol, open_sessions(job.location, job.protocol), job.driver, job.case))


def errors(watched: Watched) -> Errors:
    """The errors of a watched episode's foresights."""

    def against_the_future(tokens: Mapping[int, np.ndarray]) -> list[float]:
        return [float(np.mean((own - watched.tokens[watched.future_of(step)]) ** 2)) for step, own in tokens.items()]

    return Errors(
        task=watched.case.task,
        seed=watched.case.seed,
        progress=[step / max(1, len(watched.frames) - 1) for step in watched.foresights],
        foresight=against_the_future(watched.foresights),
        no_change=against_the_future({step: watched.tokens[step] for step in watched.foresights}),
        misnamed=against_the_future(watched.misnamed),
    )


def summarise_quality(protocol: Protocol, driver: str, measured: Sequence[Errors], several_objects: bool = False) -> dict:
    """Relative errors (1 = no better than "no change") over all, by task and over the episode, as JSON values."""
    return {
        **origin_of(protocol),
        "driver": driver,
        "several_objects": several_objects,
        "all": relative_error(measured),
        "by_task": {task: relative_error([own for own in measured if own.task == task]) for task in protocol.tasks},
        "over_episode": [relative_error([_part(own, part) for own in measured]) for part in range(BINS)],
        "named_over_episode": [names_heeded([_part(own, part) for own in measured]) for part in range(BINS)],
        "episodes": [asdict(own) for own in measured],
    }


def relative_error(measured: Sequence[Errors]) -> dict:
    """Sum of the foresights' errors over the sum of those of "no change".

    `interval`: 95 %, by `bootstrap_interval` over seeds, whose episodes are alike over tasks; None of too few, or of seeds that are all
    alike.
    """
    seeds = sorted({own.seed for own in measured if own.foresight})
    foresight = np.array([sum(sum(own.foresight) for own in measured if own.seed == seed) for seed in seeds])
    no_change = np.array([sum(sum(own.no_change) for own in measured if own.seed == seed) for seed in seeds])
    count = sum(len(own.foresight) for own in measured)
    if not count or not no_change.sum():
        return {"foresights": count, "foresight_mse": None, "no_change_mse": None, "relative": None, "interval": None}
    interval = bootstrap_interval(foresight.tolist(), no_change.tolist()) if len(seeds) >= FEWEST_SEEDS else None
    return {
        "foresights": count,
        "foresight_mse": round(float(foresight.sum() / count), 6),
        "no_change_mse": round(float(no_change.sum() / count), 6),
        "relative": round(float(foresight.sum() / no_change.sum()), 4),
        "interval": [round(max(0.0, bound), 4) for bound in interval] if interval else None,
    }


def names_heeded(measured: Sequence[Errors]) -> dict:
    """In how many scenes with several objects the instruction's own foresights are nearer the future than those of the other name.

    A model that ignores the name does so in half of them. With the 95 % Wilson interval; None for both without such scenes.
    """
    judged = [own for own in measured if own.misnamed]
    nearer = sum(sum(own.foresight) < sum(own.misnamed) for own in judged)
    interval = [round(bound, 4) for bound in wilson_interval(nearer, len(judged))] if judged else None
    return {"nearer": nearer, "scenes": len(judged), "rate": round(nearer / len(judged), 4) if judged else None, "interval": interval}


def write_quality(folder: Path, summary: dict) -> str:
    """Writes `foresight.json`, `foresight.md` and `foresight.png`; returns the Markdown."""
    from dial_core.evaluation.reports.plots import draw_quality

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "foresight.json", summary)
    lines = [
        "# How well System-2 sees ahead",
        "",
        "Relative error: the foresight's mean squared error against what the vision tower sees one horizon later, divided by that of "
        f'predicting "no change"; below 1 it is better than that. Episodes driven by: {summary["driver"]}.',
        "",
        "| | relative error | 95 % over seeds | foresight MSE | no-change MSE | foresights |",
        "|---|---|---|---|---|---|",
    ]
    rows = {**summary["by_task"], "**all**": summary["all"]}
    rows |= {f"episode {100 * i // BINS} to {100 * (i + 1) // BINS} %": row for i, row in enumerate(summary["over_episode"])}
    for name, row in rows.items():
        if row["relative"] is None:
            lines.append(f"| {name} | - | - | - | - | {row['foresights']} |")
            continue
        interval = "{:.3f} to {:.3f}".format(*row["interval"]) if row["interval"] else "-"
        errors_said = f"{row['foresight_mse']:.4f} | {row['no_change_mse']:.4f}"
        lines.append(f"| {name} | {row['relative']:.3f} | {interval} | {errors_said} | {row['foresights']} |")
    named = [(i, row) for i, row in enumerate(summary["named_over_episode"]) if row["scenes"]]
    if named:
        lines += [
            "",
            "Scenes with several objects in which the foresight of the instruction is nearer that future than the foresight of the same "
            "instruction with the other object; half of them: the name is ignored.",
            "",
            "| of the episode | right name nearer | 95 % (Wilson) |",
            "|---|---|---|",
        ]
        for i, row in named:
            low, high = (100 * bound for bound in row["interval"])
            lines.append(
                f"| {100 * i // BINS} to {100 * (i + 1) // BINS} % | {row['nearer']}/{row['scenes']} | {low:.0f} to {high:.0f} % |"
            )
    text = "\n".join([*lines, "", f"Protocol hash {summary['protocol_hash']}.", ""])
    write_text(folder / "foresight.md", text)
    draw_quality(summary, folder / "foresight.png")
    return text


def _part(own: Errors, part: int) -> Errors:
    """The foresights made in one tenth of the episode."""
    inside = [min(int(at * BINS), BINS - 1) == part for at in own.progress]

    def chosen(values: list[float]) -> list[float]:
        return [value for value, yes in zip(values, inside, strict=True) if yes]

    misnamed = chosen(own.misnamed) if own.misnamed else []
    return Errors(own.task, own.seed, chosen(own.progress), chosen(own.foresight), chosen(own.no_change), misnamed)
