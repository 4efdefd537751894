"""Plots of success rates with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

BLUE, ORANGE = "#4477aa", "#cc6633"
MANY = 8  # bars; more of them lie flat, so that their names can be read


def draw_bars(counts: Mapping[str, dict], file: Path, title: str) -> None:
    """Success rates [%] as bars with their intervals; `counts` as `report.rate` gives them."""
    draw_groups({"": counts}, file, title)


def draw_groups(groups: Mapping[str, Mapping[str, dict]], file: Path, title: str, colours: Sequence[str] = (BLUE, ORANGE)) -> None:
    """Bars of several policies side by side: policy -> name -> count; every policy has counts of the same names."""
    pyplot = pyplot_without_window()
    names = list(next(iter(groups.values())))
    flat, width = len(names) > MANY, 0.8 / len(groups)
    legend_in = 2.0 if len(groups) > 1 else 0.0
    upright_in = 2.2 + max(1.2, 0.25 * len(groups)) * len(names)
    size = (7.0 + legend_in, 1.2 + 0.26 * len(names)) if flat else (upright_in + legend_in, 3.6)
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    draw = axes.barh if flat else axes.bar
    for index, (label, counts) in enumerate(groups.items()):
        places = [place + (index - (len(groups) - 1) / 2) * width for place in range(len(names))]
        rates, whiskers = with_whiskers([counts[name] for name in names])
        style = {"color": colours[index % len(colours)], "capsize": 3, "label": label}
        draw(places, rates, width, **{"xerr" if flat else "yerr": whiskers}, **style)
    if flat:
        axes.set(xlabel="success [%]", xlim=(0, 105))
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
    else:
        axes.set(ylabel="success [%]", ylim=(0, 105))
        axes.set_xticks(range(len(names)), names, rotation=20 if len(names) > 1 else 0)
    if len(groups) > 1:
        figure.legend(loc="outside right upper", fontsize=8)  # beside the bars: on them it would hide some
    axes.set_title(title, fontsize=9)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def draw_curve(x: Sequence[float], counts: Sequence[dict], file: Path, title: str, xlabel: str) -> None:
    """Success rates [%] over `x`, with their intervals."""
    pyplot = pyplot_without_window()
    figure, axes = pyplot.subplots(figsize=(5.5, 3.6), layout="constrained")
    order = sorted(range(len(x)), key=lambda place: x[place])
    rates, whiskers = with_whiskers([counts[place] for place in order])
    axes.errorbar([x[place] for place in order], rates, yerr=whiskers, marker="o", capsize=4, color=BLUE)
    axes.set(xlabel=xlabel, ylabel="success [%]", ylim=(0, 105))
    axes.set_title(title, fontsize=9)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def draw_quality(summary: dict, file: Path) -> None:
    """Relative foresight errors, by task and over the episode, with their intervals and the line of "no change"."""
    pyplot = pyplot_without_window()
    rows = {task: row for task, row in {**summary["by_task"], "all": summary["all"]}.items() if row["relative"] is not None}
    size = (10.0, max(3.4, 1.2 + 0.26 * len(rows)))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=size, layout="constrained")
    left.barh(list(rows), [row["relative"] for row in rows.values()], xerr=_reach(list(rows.values())), capsize=3, color=BLUE)
    left.axvline(1.0, color="black", linestyle=":", label="predicting no change")
    left.invert_yaxis()
    left.set(xlabel="error relative to no change")
    left.legend(fontsize=8)
    bins = summary["over_episode"]
    seen = [(place, row) for place, row in enumerate(bins) if row["relative"] is not None]
    places = [100 * (place + 0.5) / len(bins) for place, _ in seen]
    parts = [row for _, row in seen]
    right.errorbar(places, [row["relative"] for row in parts], yerr=_reach(parts), marker="o", capsize=4, color=BLUE)
    right.axhline(1.0, color="black", linestyle=":")
    right.set(xlabel="of the episode [%]", xlim=(0, 100), ylabel="error relative to no change", ylim=(0, None))
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def draw_smoothness(summary: Mapping[str, dict], file: Path) -> None:
    """Success with its interval, and the commanded motion's jerk on a logarithmic scale, strategy by strategy."""
    pyplot = pyplot_without_window()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.0, 3.4), layout="constrained")
    counts = [{"rate": row["success"] / row["episodes"], "interval": row["interval"]} for row in summary.values()]
    rates, whiskers = with_whiskers(counts)
    left.bar(list(summary), rates, yerr=whiskers, capsize=3, color=BLUE)
    left.set(ylabel="success [%]", ylim=(0, 105))
    right.bar(list(summary), [row["jerk"] for row in summary.values()], color=ORANGE)
    right.set(ylabel="RMS jerk [rad/s³]", yscale="log")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def _reach(rows: Sequence[dict]) -> list[list[float]]:
    """Returns how far the intervals of relative errors extend below and above; not at all where there is none."""
    intervals = [row["interval"] or [row["relative"]] * 2 for row in rows]
    below = [max(0.0, row["relative"] - low) for row, (low, _) in zip(rows, intervals, strict=True)]
    return [below, [max(0.0, high - row["relative"]) for row, (_, high) in zip(rows, intervals, strict=True)]]


def with_whiskers(counts: Sequence[dict]) -> tuple[list[float], list[list[float]]]:
    """Returns rates [%], and how far their intervals extend below and above."""
    rates = [100 * count["rate"] for count in counts]
    below = [max(0.0, rate - 100 * count["interval"][0]) for rate, count in zip(rates, counts, strict=True)]
    above = [max(0.0, 100 * count["interval"][1] - rate) for rate, count in zip(rates, counts, strict=True)]
    return rates, [below, above]


def pyplot_without_window():
    """Returns matplotlib's pyplot without a window; imported here because that is slow."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
