"""Table of smoothness: success, and jerk as a ratio to plain replacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dial_core.evaluation.closed_loop.origin import origin_of
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.reports.intervals import wilson_interval
from dial_core.evaluation.reports.plots import draw_smoothness
from dial_core.evaluation.studies.smoothness import PLAIN, POSITION_BOUND_RAD, VELOCITY_BOUND_RAD_S, SmoothnessResult
from dial_core.files.atomic import write_json, write_text

EXPLANATION = """\
The robot's timing without ROS: a frame at 20 Hz, a chunk every third one that arrives late by the latency and takes over a
splice lead later, controllers that look every 10 ms. `plain` is the yardstick: each chunk is played as it comes, in straight
lines from target to target, and the next one hard-replaces it. Jerk is the root mean square, over time and joints, of the
commanded positions' third difference. Success is held for half a second within the task's time; its interval is Wilson's,
95 %. Acceleration is the largest that was commanded, as a share of the joint's limit. Continuous: between a chunk's arrival
and a microsecond after its splice, old and new motion differ nowhere by more than"""


def smoothness_summary(results: Sequence[SmoothnessResult]) -> dict[str, dict]:
    """Strategy -> success, jerk [rad/s^3] and its ratio to `plain` over the same scenes, and the largest steps at splices."""
    by_strategy = {name: [r for r in results if r.strategy == name] for name in dict.fromkeys(r.strategy for r in results)}
    jerk = {name: float(np.sqrt(np.mean([r.jerk**2 for r in own]))) for name, own in by_strategy.items()}
    return {
        name: {
            "success": sum(r.success for r in own),
            "episodes": len(own),
            "interval": wilson_interval(sum(r.success for r in own), len(own)),
            "jerk": jerk[name],
            "jerk_ratio": jerk[name] / jerk[PLAIN] if PLAIN in jerk else None,
            "jerk_ratio_to_replace": jerk[name] / jerk["replace"] if "replace" in jerk else None,
            "position_step": max(r.position_step for r in own),
            "velocity_step": max(r.velocity_step for r in own),
            "acceleration_share": max(r.acceleration_share for r in own),
            "continuous": all(r.position_step <= POSITION_BOUND_RAD and r.velocity_step <= VELOCITY_BOUND_RAD_S for r in own),
            "splices": sum(r.splices for r in own),
            "clamped_a_splice": sum(r.clamped for r in own) / max(sum(r.splices for r in own), 1),
        }
        for name, own in by_strategy.items()
    }


def write_smoothness(folder: Path, results: Sequence[SmoothnessResult], settings: dict[str, object], made: str, protocol: Protocol) -> str:
    """Writes `result.json`, `result.md` and `result.png`; returns the Markdown.

    Args:
        made: by which command, when, on what machine.
        protocol: what all strategies share; its own `strategy` says nothing and is not written.
    """
    summary = smoothness_summary(results)
    folder.mkdir(parents=True, exist_ok=True)
    origin = origin_of(protocol)
    del origin["protocol"]["strategy"]
    content = origin | {"settings": settings, "strategies": summary, "episodes": [asdict(result) for result in results]}
    write_json(folder / "result.json", content)
    text = _markdown(summary, settings, f"{made} Protocol hash {protocol.hash}.")
    write_text(folder / "result.md", text)
    draw_smoothness(summary, folder / "result.png")
    return text


def _markdown(summary: dict[str, dict], settings: dict[str, object], made: str) -> str:
    listed = ", ".join(f"{key} {value}" for key, value in settings.items())
    lines = [
        "# Smoothness of the commanded motion, and success",
        "",
        f"{made} Settings: {listed}.",
        "",
        f"{EXPLANATION} {POSITION_BOUND_RAD:g} rad and {VELOCITY_BOUND_RAD_S:g} rad/s.",
        "",
        "| strategy | success | 95 % | jerk, of plain | jerk, of replace | RMS jerk [rad/s³] | splices | largest step [rad] | [rad/s] | "
        "continuous | acceleration, of its limit | targets clamped a splice |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in summary.items():
        low, high = row["interval"]
        lines.append(
            f"| {name} | {row['success']} of {row['episodes']} | {low:.0%} to {high:.0%} | {_ratio(row['jerk_ratio'])} | "
            f"{_ratio(row['jerk_ratio_to_replace'])} | {row['jerk']:.0f} | {row['splices']} | {row['position_step']:.1e} | "
            f"{row['velocity_step']:.1e} | {'yes' if row['continuous'] else 'no'} | {row['acceleration_share']:.2f} | "
            f"{row['clamped_a_splice']:.2f} |"
        )
    return "\n".join([*lines, ""])


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
