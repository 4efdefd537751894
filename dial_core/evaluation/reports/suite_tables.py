"""Markdown tables of the results of many suites, as `dial eval` and `dial expert` wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.suites import is_file
from dial_core.evaluation.reports.compare import require_whole
from dial_core.evaluation.reports.result_page import interval_text, rate, rate_text


def suite_tables(summaries: Sequence[dict]) -> str:
    """Returns a table of all suites, a table of each suite with a row for each task, and the commands that were run.

    `summaries` are `result.json`s of one policy. Of a task that is in several of them the last one counts: it was measured again.
    A task of the user's own, by its YAML file, belongs to no suite and has a row and a table of its own.

    Raises:
        DialError: they are of different policies, or one is of a shard.
    """
    for summary in summaries:
        require_whole(summary)
    policies = {(summary["protocol"]["policy"], summary["protocol"]["model_id"]) for summary in summaries}
    if len(policies) > 1:
        raise DialError(f"results of different policies do not belong in one table: {sorted(policies)}; `dial compare` takes two")
    suites: dict[str, dict[str, dict]] = {}
    for summary in summaries:
        for task, row in summary["by_task"].items():
            suites.setdefault(_belongs_to(summary, task), {})[task] = row
    overview = ["| suite | tasks | success | 95 % | lowest of a task | crashed |", "|---|---|---|---|---|---|"]
    overview += [_overview_row(suite, rows) for suite, rows in suites.items()]
    return "\n".join([*overview, "", *(line for suite, rows in suites.items() for line in _suite(suite, rows)), *_runs(summaries), ""])


def _belongs_to(summary: dict, task: str) -> str:
    """The suite of a task, or its own YAML file."""
    return task if is_file(task) else summary["protocol"]["suite"]


def _overview_row(suite: str, rows: dict[str, dict]) -> str:
    successes, trials = (sum(row["success"][key] for row in rows.values()) for key in ("successes", "trials"))
    whole = rate(successes, trials)
    lowest = min(rows, key=lambda task: rows[task]["success"]["rate"])
    crashed = sum(row["crashed"] for row in rows.values())
    worst = f"{rate_text(rows[lowest]['success'])} {lowest}"
    return f"| `{suite}` | {len(rows)} | **{rate_text(whole)}** | {interval_text(whole)} | {worst} | {crashed} |"


def _suite(suite: str, rows: dict[str, dict]) -> Iterable[str]:
    yield from (f"## `{suite}`", "", "| task | success | 95 % | steps to success (median) |", "|---|---|---|---|")
    for task, row in rows.items():
        steps = "-" if row["steps"] is None else f"{row['steps']:.0f}"
        yield f"| {task} | {rate_text(row['success'])} | {interval_text(row['success'])} | {steps} |"
    yield ""


def _runs(summaries: Sequence[dict]) -> Iterable[str]:
    yield from ("| suite | tasks run | scenes of each | protocol hash | sources |", "|---|---|---|---|---|")
    for summary in summaries:
        protocol = summary["protocol"]
        scenes = f"{protocol['seed']} to {protocol['seed'] + protocol['episodes'] - 1}"
        suites = ", ".join(f"`{name}`" for name in dict.fromkeys(_belongs_to(summary, task) for task in protocol["tasks"]))
        yield f"| {suites} | {len(protocol['tasks'])} | {scenes} | {summary['protocol_hash']} | {summary['sources']} |"
