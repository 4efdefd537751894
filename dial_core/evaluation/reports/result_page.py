"""Writes the results of an evaluation: `result.json`, Markdown tables, and a bar chart with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, median

from dial_core.evaluation.closed_loop.origin import origin_of
from dial_core.evaluation.closed_loop.protocol import Protocol, without_effect
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.closed_loop.suites import object_count, working_hand
from dial_core.evaluation.reports.compare import JOIN, WHOLE, policy_name, scene_count
from dial_core.evaluation.reports.intervals import FEWEST_SEEDS, clustered_interval, wilson_interval
from dial_core.evaluation.reports.plots import draw_bars
from dial_core.files.atomic import write_json, write_text

BOOTSTRAP = "bootstrap"


def summarise(
    protocol: Protocol, results: Sequence[EpisodeResult], wall_s: float, versions: Mapping[str, str] | None = None, shard: str = WHOLE
) -> dict:
    """Counts, rates with 95 % Wilson intervals over all and by task, protocol and episodes, as JSON values.

    `over_seeds` is the interval of all if seeds, and not scenes, are what is independent: tasks share a seed's places and objects.
    `two_objects` says which object stood in the target at the end, of the scenes with several. Success asks for the named one only:
    whether the name decides is in `named_alone`, for who brings every object succeeds too. `by_hand`: scenes of the left hand
    mirror those of the right one, but for tasks of one hand alone. A crashed episode counts, as a failure, where its seed belongs.
    `versions`: of the libraries that the episodes ran with; without them, those of this process. `shard`: K/N, which part of the
    protocol's scenes these are; 1/1 is all of them.
    """
    results = [result if result.error is None else _as_its_seed(protocol, result) for result in results]
    order = {task: place for place, task in enumerate(protocol.tasks)}
    results = sorted(results, key=lambda result: (order[result.task], result.seed))
    several = [result for result in results if result.objects > 1]
    ages = [result.foresight_age_s for result in results if result.foresight_age_s is not None]
    return {
        **origin_of(protocol, versions),
        "shard": shard,
        "success": _successes(results),
        "over_seeds": over_seeds((result.seed, result.success) for result in results),
        "by_task": {task: _task_row([result for result in results if result.task == task]) for task in protocol.tasks},
        "one_object": _successes([result for result in results if result.objects == 1]),
        "two_objects": {
            "success": _successes(several),
            "named_moved": rate(sum(result.named_moved for result in several), len(several)),
            "other_moved": rate(sum(result.other_moved for result in several), len(several)),
            "named_alone": rate(sum(result.named_moved and not result.other_moved for result in several), len(several)),
        },
        "by_hand": {hand: _successes([result for result in results if result.hand == hand]) for hand in ("left", "right")},
        "foresight_age_s": round(fmean(ages), 4) if ages else None,
        "broken_starts": {
            "scenes": rate(sum(bool(result.faults) for result in results), len(results)),
            "success_without": _successes([result for result in results if not result.faults]),
            "faults": dict(Counter(fault for result in results for fault in result.faults)),
        },
        "crashed": sum(result.error is not None for result in results),
        "wall_s": round(wall_s, 1),
        "episodes": [asdict(result) for result in results],
    }


def _as_its_seed(protocol: Protocol, result: EpisodeResult) -> EpisodeResult:
    """A crashed episode with the objects and the hand that its seed gives: it ended before anybody could say them."""
    return replace(result, objects=object_count(protocol.suite, result.case), hand=working_hand(protocol.suite, result.case))


def rate(successes: int, trials: int) -> dict:
    """A count with its rate and 95 % Wilson interval, as JSON values."""
    low, high = wilson_interval(successes, trials)
    share = successes / trials if trials else 0.0
    return {"successes": successes, "trials": trials, "rate": round(share, 4), "interval": [round(low, 4), round(high, 4)]}


def named_alone(summary: dict) -> dict:
    """In how many scenes with several objects the named one alone stood in the target, as a `rate`; of earlier versions' results too."""
    if kept := summary["two_objects"].get("named_alone"):
        return kept
    several = [episode for episode in summary["episodes"] if episode["objects"] > 1]
    return rate(sum(episode["named_moved"] and not episode["other_moved"] for episode in several), len(several))


def write_report(folder: Path, summary: dict, title: str) -> str:
    """Writes `result.json`, `result.md` and `success.png` of one evaluation to `folder`; returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "result.json", summary)
    text = markdown(summary, title)
    write_text(folder / "result.md", text)
    bars = {task: row["success"] for task, row in summary["by_task"].items()}
    if len(bars) > 1:
        bars["all"] = summary["success"]
    draw_bars(bars, folder / "success.png", f"{title}, {policy_name(summary)}")
    return text


def write_table(folder: Path, summaries: dict[str, dict], title: str) -> str:
    """Writes `result.json`, `result.md` and `success.png` of several named evaluations; returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "result.json", summaries)
    text = table(summaries, title)
    write_text(folder / "result.md", text)
    draw_bars({name: summary["success"] for name, summary in summaries.items()}, folder / "success.png", title)
    return text


def markdown(summary: dict, title: str) -> str:
    """Returns a table with a row for each task, followed by everything that the protocol fixes."""
    lines = [f"# {title}", "", "| task | success | 95 % | steps to success (median) | crashed |", "|---|---|---|---|---|"]
    rows = dict(summary["by_task"])
    if len(rows) > 1:
        rows["**all**"] = _all_row(summary)
    for name, row in rows.items():
        steps = "-" if row["steps"] is None else f"{row['steps']:.0f}"
        lines.append(f"| {name} | {rate_text(row['success'])} | {interval_text(row['success'])} | {steps} | {row['crashed']} |")
    seeds = summary.get("over_seeds")
    if seeds and seeds["seeds"] >= FEWEST_SEEDS and len(summary["by_task"]) > 1:
        lines += [
            "",
            f"All over {seeds['seeds']} seeds, whose scenes share places and objects over tasks: 95 % {interval_text(seeds)} "
            f"({seeds.get('method', BOOTSTRAP)}).",
        ]
    if (shard := summary.get("shard", WHOLE)) != WHOLE:
        lines += ["", f"Shard {shard}: a part of the scenes, {summary['success']['trials']} of {scene_count(summary)}. {JOIN}."]
    two, alone = summary["two_objects"], named_alone(summary)
    if two["success"]["trials"]:
        lines += [
            "",
            f"Of the scenes with several objects: {rate_text(two['success'])}; the named one stood in the target in "
            f"{rate_text(two['named_moved'])}, another one in {rate_text(two['other_moved'])}, the named one alone in "
            f"{rate_text(alone)}, 95 % {interval_text(alone)}.",
        ]
    hands = summary.get("by_hand", {})
    if hands and all(success["trials"] for success in hands.values()):
        rates = ", ".join(f"{hand} {rate_text(success)}{_interval_of(summary, hand, success)}" for hand, success in hands.items())
        lines += ["", f"By the hand that does the task: {rates}."]
    return "\n".join([*lines, "", *_broken_starts(summary), *_signature(summary)])


def _interval_of(summary: dict, hand: str, success: dict) -> str:
    """The interval of a hand's success, over seeds where tasks share them, which have one hand each; empty of too few."""
    if len(summary["by_task"]) == 1:
        return f", 95 % {interval_text(success)}"
    over = over_seeds((row["seed"], row["success"]) for row in summary["episodes"] if row["hand"] == hand)
    return f", 95 % over seeds {interval_text(over)}" if over["seeds"] >= FEWEST_SEEDS else ""


def _broken_starts(summary: dict) -> list[str]:
    """Returns a sentence on scenes that failed before the robot had moved, if there were any; they count in the table above."""
    broken = summary.get("broken_starts")
    if not broken or not broken["scenes"]["successes"]:
        return []
    faults = ", ".join(f"{fault} ({count})" for fault, count in sorted(broken["faults"].items()))
    return [
        f"Broken before the robot moved: {rate_text(broken['scenes'])} of the scenes ({faults}). They count above; without them "
        f"{rate_text(broken['success_without'])}, 95 % {interval_text(broken['success_without'])}.",
        "",
    ]


def table(summaries: dict[str, dict], title: str) -> str:
    """A table with a row for each evaluation, followed by the protocol that all rows share."""
    lines = [
        f"# {title}",
        "",
        "| | success | 95 % | one object | several objects | named one moved | other one moved | named one alone "
        "| foresight age | crashed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, summary in summaries.items():
        two, alone, age = summary["two_objects"], named_alone(summary), summary["foresight_age_s"]
        lines.append(
            f"| {name} | {rate_text(summary['success'])} | {interval_text(summary['success'])} | {rate_text(summary['one_object'])} "
            f"| {rate_text(two['success'])} | {rate_text(two['named_moved'])} | {rate_text(two['other_moved'])} | {rate_text(alone)} "
            f"| {'-' if age is None else f'{age:.2f} s'} | {summary['crashed']} |"
        )
    protocols = [summary["protocol"] for summary in summaries.values()]
    first = next(iter(summaries.values()))
    varied = {key for key in first["protocol"] if any(protocol[key] != first["protocol"][key] for protocol in protocols)}
    hashes = ", ".join(f"{name} {summary['protocol_hash']}" for name, summary in summaries.items())
    return "\n".join([*lines, "", *_signature(first, varied), f"Protocol hashes: {hashes}.", ""])


def _signature(summary: dict, varied: set[str] | None = None) -> list[str]:
    left_out = without_effect(summary["protocol"]) | (varied or set())
    shown = {key: value for key, value in summary["protocol"].items() if key not in left_out and value not in ("", [])}
    if "seeds" in shown:
        shown["seeds"] = f"{len(shown['seeds'])} of the dataset"
    if "tasks" in shown and len(shown["tasks"]) > 3:
        shown["tasks"] = f"{len(shown['tasks'])}, see above" if varied is None else len(shown["tasks"])
    elif "tasks" in shown:
        shown["tasks"] = " ".join(shown["tasks"])
    said = ", ".join(f"{key} {value}" for key, value in shown.items())
    libraries = ", ".join(f"{library} {version}" for library, version in summary.get("versions", {}).items())
    code = f"version {summary['code_version']}, sources {summary['sources']}" + (f"; {libraries}" if libraries else "")
    if varied is None:
        code = f"Protocol hash {summary['protocol_hash']}; {code}"
    return [f"Protocol: {said}.", "", f"{code[0].upper()}{code[1:]}.", ""]


def _task_row(results: Sequence[EpisodeResult]) -> dict:
    steps = [result.steps for result in results if result.success]
    return {
        "success": _successes(results),
        "steps": float(median(steps)) if steps else None,
        "crashed": sum(result.error is not None for result in results),
    }


def _all_row(summary: dict) -> dict:
    steps = [episode["steps"] for episode in summary["episodes"] if episode["success"]]
    return {"success": summary["success"], "steps": float(median(steps)) if steps else None, "crashed": summary["crashed"]}


def _successes(results: Sequence[EpisodeResult]) -> dict:
    return rate(sum(result.success for result in results), len(results))


def over_seeds(outcomes: Iterable[tuple[int, bool]]) -> dict:
    """The number of seeds of some (seed, success), the 95 % interval of the success rate over seeds and its `method`, as JSON values."""
    by_seed: dict[int, list[bool]] = {}
    for seed, success in outcomes:
        by_seed.setdefault(seed, []).append(success)
    alike = len({sum(outcomes) / len(outcomes) for outcomes in by_seed.values()}) == 1
    interval = [round(bound, 4) for bound in clustered_interval(list(by_seed.values()))]
    return {"seeds": len(by_seed), "interval": interval, "method": f"Wilson of {len(by_seed)} seeds, all alike" if alike else BOOTSTRAP}


def rate_text(count: dict) -> str:
    """`66.7 (2/3)`: per cent, successes and trials of a `rate`; a dash without trials."""
    if not count["trials"]:
        return "-"
    return f"{100 * count['rate']:.1f} ({count['successes']}/{count['trials']})"


def interval_text(count: dict) -> str:
    """`20.8 to 93.8`: the interval of a `rate` in per cent."""
    low, high = count["interval"]
    return f"{100 * low:.1f} to {100 * high:.1f}"
