"""What an evaluation leaves: `result.json`, a Markdown table, and bars with their intervals as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import dial_core
from dial_core.evaluation.protocol import Protocol, wilson_interval
from dial_core.evaluation.rollout import EpisodeResult


def summarise(protocol: Protocol, results: list[EpisodeResult], wall_s: float) -> dict:
    """Counts, rates with 95 % Wilson intervals, protocol and episodes, as JSON values.

    `two_objects` says which object stood in the target at the end, of the scenes with two.
    """
    one = [result for result in results if result.objects == 1]
    two = [result for result in results if result.objects > 1]
    return {
        "protocol": json.loads(protocol.model_dump_json()),
        "protocol_hash": protocol.hash,
        "code_version": dial_core.__version__,
        "success": _rate(sum(result.success for result in results), len(results)),
        "one_object": _rate(sum(result.success for result in one), len(one)),
        "two_objects": {
            "success": _rate(sum(result.success for result in two), len(two)),
            "named_moved": _rate(sum(result.named_moved for result in two), len(two)),
            "other_moved": _rate(sum(result.other_moved for result in two), len(two)),
        },
        "crashed": sum(result.error is not None for result in results),
        "wall_s": round(wall_s, 1),
        "episodes": [asdict(result) for result in results],
    }


def write_report(folder: Path, summaries: dict[str, dict], title: str) -> str:
    """Writes `result.json`, `result.md` and `success.png` of named summaries to `folder`; returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    content = next(iter(summaries.values())) if len(summaries) == 1 else summaries
    (folder / "result.json").write_text(json.dumps(content, indent=2) + "\n")
    text = markdown(summaries, title)
    (folder / "result.md").write_text(text)
    draw_bars(summaries, folder / "success.png", title)
    return text


def markdown(summaries: dict[str, dict], title: str) -> str:
    """A table, one row a summary, and under it the protocol that all rows share."""
    lines = [
        f"# {title}",
        "",
        "| | success | 95 % | one object | two objects | named one moved | other one moved | crashed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, summary in summaries.items():
        two = summary["two_objects"]
        low, high = summary["success"]["interval"]
        lines.append(
            f"| {name} | {_percent(summary['success'])} | {100 * low:.1f} to {100 * high:.1f} | {_percent(summary['one_object'])} "
            f"| {_percent(two['success'])} | {_percent(two['named_moved'])} | {_percent(two['other_moved'])} | {summary['crashed']} |"
        )
    first = next(iter(summaries.values()))
    varied = ("foresight", "instruct") if len(summaries) > 1 else ()
    shared = ", ".join(f"{key} {value}" for key, value in first["protocol"].items() if key not in varied and value != "")
    hashes = ", ".join(f"{name} {summary['protocol_hash']}" for name, summary in summaries.items())
    return "\n".join([*lines, "", f"Protocol: {shared}.", "", f"Protocol hash: {hashes}. Version {first['code_version']}.", ""])


def draw_bars(summaries: dict[str, dict], picture: Path, title: str) -> None:
    """Success rates [%] as bars with their 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(summaries)
    rates = [100 * summary["success"]["rate"] for summary in summaries.values()]
    bounds = [summary["success"]["interval"] for summary in summaries.values()]
    whiskers = [
        [max(0.0, rate - 100 * low) for rate, (low, _) in zip(rates, bounds, strict=True)],
        [max(0.0, 100 * high - rate) for rate, (_, high) in zip(rates, bounds, strict=True)],
    ]
    figure, axes = pyplot.subplots(figsize=(1.6 + 1.3 * len(names), 3.4))
    axes.bar(names, rates, yerr=whiskers, capsize=4, color="#4477aa")
    axes.set(title=title, ylabel="success [%]", ylim=(0, 105))
    axes.tick_params(axis="x", labelrotation=20)
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)


def _rate(successes: int, trials: int) -> dict:
    low, high = wilson_interval(successes, trials)
    rate = successes / trials if trials else 0.0
    return {"successes": successes, "trials": trials, "rate": round(rate, 4), "interval": [round(low, 4), round(high, 4)]}


def _percent(rate: dict) -> str:
    if not rate["trials"]:
        return "-"
    return f"{100 * rate['rate']:.1f} ({rate['successes']}/{rate['trials']})"
