"""`dial bench gpu`: every check in a process of its own, the results as one JSON file and one Markdown page."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dial_core.benchmarks.gpu_checks import CHECKS, CheckFailedError, GpuCheck
from dial_core.errors import DialError
from dial_core.files.atomic import write_text

CPU_LIMIT_S = 600.0


@dataclass(frozen=True)
class CheckResult:
    """What became of one check: `passed`, `failed`, `skipped`, or `broken` (it crashed or ran out of time)."""

    name: str
    outcome: str
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def run_checks(names: list[str], device: str, preset: str, out: Path) -> list[CheckResult]:
    """Runs the checks `names` (all if empty) one after the other; `out/gpu.json` and `out/gpu.md` grow with every one.

    Raises:
        DialError: an unknown check, or no such device.
    """
    if unknown := [name for name in names if name not in CHECKS]:
        raise DialError(f"no check '{', '.join(unknown)}'; checks: {', '.join(CHECKS)}")
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise DialError("there is no CUDA device here; `--device cpu --preset dial_tiny` runs the same checks on a CPU")
    out.mkdir(parents=True, exist_ok=True)
    results: list[CheckResult] = []
    for name in names or CHECKS:
        results.append(_in_a_process(CHECKS[name], device, preset))
        _write(results, device, preset, out)
    return results


def _in_a_process(check: GpuCheck, device: str, preset: str) -> CheckResult:
    """A crash of the driver, or memory that is not given back, then ends with the check."""
    command = [sys.executable, "-m", "dial_core.benchmarks.gpu_report", check.name, device, preset]
    limit_s = check.limit_s if torch.device(device).type == "cuda" else CPU_LIMIT_S
    started_s = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return CheckResult(check.name, "broken", limit_s, reason=f"not done after {limit_s:.0f} s")
    seconds = time.monotonic() - started_s
    lines = done.stdout.splitlines()
    answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    if answer is None:
        last = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        return CheckResult(check.name, "broken", seconds, reason=f"exit status {done.returncode}: {' / '.join(last)}")
    return CheckResult(check.name, seconds=seconds, **answer)


def answer_of(check: GpuCheck, device: str, preset: str) -> dict[str, Any]:
    """Runs one check here: its outcome, facts and reason, as `CheckResult` names them."""
    try:
        facts = check.run(torch.device(device), preset)
    except CheckFailedError as error:
        return {"outcome": "failed", "reason": str(error)}
    if "skipped" in facts:
        return {"outcome": "skipped", "reason": facts["skipped"]}
    return {"outcome": "passed", "facts": facts}


def _write(results: list[CheckResult], device: str, preset: str, out: Path) -> None:
    content = {"device": device, "preset": preset, "results": [vars(result) for result in results]}
    write_text(out / "gpu.json", json.dumps(content, indent=2) + "\n")
    write_text(out / "gpu.md", page(results, device, preset))


def page(results: list[CheckResult], device: str, preset: str) -> str:
    """The results as Markdown: one row a check, then the figures of each."""
    lines = ["# On a GPU", "", f"`dial bench gpu --device {device} --preset {preset}`, {time.strftime('%Y-%m-%d')}.", ""]
    lines += ["| check | what it shows | outcome | s |", "|---|---|---|---|"]
    for result in results:
        said = result.outcome + (f": {result.reason}" if result.reason else "")
        lines.append(f"| {result.name} | {CHECKS[result.name].shows} | {said.replace('|', '/')} | {result.seconds:.0f} |")
    for result in results:
        if result.facts:
            lines += ["", f"## {result.name}", "", *_figures(result.facts)]
    return "\n".join(lines) + "\n"


def _figures(facts: dict[str, Any]) -> list[str]:
    """A table of rows if the facts are rows, else of names and values."""
    rows = facts.get("rows") or [{"": name} | value for name, value in facts.items() if isinstance(value, dict)]
    if not rows:
        return ["| | |", "|---|---|", *[f"| {name} | {_shown(value)} |" for name, value in facts.items()]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    body = ["| " + " | ".join(_shown(row.get(column, "")) for column in columns) + " |" for row in rows]
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *body]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    print(json.dumps(answer_of(CHECKS[sys.argv[1]], *sys.argv[2:4])))
