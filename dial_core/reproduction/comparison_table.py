"""The table of a comparison: a row for each method, with its difference to the reference on the same scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dial_core.errors import DialError
from dial_core.evaluation.reports.compare import compare
from dial_core.evaluation.reports.result_page import FEWEST_SEEDS, interval_text, named_alone, over_seeds, rate_text


def comparison_table(summaries: Mapping[str, dict], reference: str, reference_summary: dict | None) -> Iterator[str]:
    """The lines of the table, and what a reader has to know of its pairs.

    Args:
        summaries: of the methods that were evaluated, by what they are called.
        reference: what the reference is called.
        reference_summary: None if it was not evaluated.
    """
    against = f"against {reference} | 95 % | p (McNemar, exact) | 95 % over seeds | p over seeds (sign-flip, exact)"
    moved = "of two objects, the named one in the target | the named one alone | the other one"
    yield f"| method | success | 95 % (Wilson) | 95 % over seeds | {against} | {moved} | lowest of a task | crashed |"
    yield "|---" * 14 + "|"
    notes = []
    for called, summary in summaries.items():
        cells, note = ["-"] * 5, ""
        if reference_summary and called != reference:
            cells, note = _against(reference_summary, summary)
        yield _row(called, summary, cells)
        if note:
            notes += [f"{called} and {reference}: {note}", ""]
    yield from ("", *notes)


def _row(called: str, summary: dict, against: list[str]) -> str:
    two = summary["two_objects"]
    seeds = over_seeds((row["seed"], row["success"]) for row in summary["episodes"])
    over = interval_text(seeds) if seeds["seeds"] >= FEWEST_SEEDS else "-"
    lowest = min(summary["by_task"], key=lambda task: summary["by_task"][task]["success"]["rate"])
    cells = [
        called,
        rate_text(summary["success"]),
        interval_text(summary["success"]),
        over,
        *against,
        rate_text(two["named_moved"]),
        rate_text(named_alone(summary)),
        rate_text(two["other_moved"]),
        f"{rate_text(summary['by_task'][lowest]['success'])} {lowest}",
        str(summary["crashed"]),
    ]
    return f"| {' | '.join(cells)} |"


def _against(reference: dict, summary: dict) -> tuple[list[str], str]:
    """Difference to the reference, its intervals and p-values, as cells, and a note if scenes, code, libraries or protocol differ.

    A difference alone where the scenes are not the same.
    """
    try:
        comparison = compare(reference, summary)
    except DialError as error:
        difference = summary["success"]["rate"] - reference["success"]["rate"]
        return [f"{100 * difference:+.1f}, unpaired", "-", "-", "-", "-"], f"unpaired, since {error}."
    scenes, seeds = comparison["all"], comparison["over_seeds"]
    over = _points(seeds["interval"]) if seeds["seeds"] >= FEWEST_SEEDS and seeds["interval"] else "-"
    cells = [f"{100 * scenes['difference']:+.1f}", _points(scenes["interval"]), f"{scenes['p_value']:.3g}", over, f"{seeds['p_value']:.3g}"]
    others = [f"other {what} ({'; '.join(comparison[what])})" for what in ("code", "libraries", "protocol") if comparison[what]]
    return cells, f"the same scenes, {', '.join(others)}." if others else ""


def _points(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * low:+.1f} to {100 * high:+.1f}"
