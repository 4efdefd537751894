"""The page that a conversion leaves: what became of each bag, warnings, and images of rates, joint ranges and frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dial_core.files.atomic import write_json, write_text
from dial_core.importers.bag.bag_report import BagReport
from dial_core.robot.embodiment import Embodiment

SHOWN_EPISODES = 24


def write_report(folder: Path, reports: Sequence[BagReport], thumbnails: Sequence[Path], embodiment: Embodiment) -> None:
    """Writes `report.md` with its images, and `report.json`, to `folder`.

    `thumbnails`: one file an episode, with its first, middle and last image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    converted = [report for report in reports if report.episodes]
    write_json(folder / "report.json", [asdict(report) for report in reports])
    write_text(folder / "report.md", markdown(reports))
    draw_streams(folder / "streams.png", converted)
    draw_joints(folder / "joints.png", converted, embodiment)
    draw_thumbnails(folder / "thumbnails.png", thumbnails[:SHOWN_EPISODES])


def markdown(reports: Sequence[BagReport]) -> str:
    """The page's text."""
    converted = [report for report in reports if report.episodes]
    episodes, seconds = sum(len(report.episodes) for report in converted), sum(sum(report.lengths_s) for report in converted)
    lines = [
        "# What became of the bags",
        "",
        f"{len(converted)} of {len(reports)} bags gave {episodes} episodes, {seconds:.0f} s in all.",
        "",
        "## Warnings",
        "",
    ]
    lines += [f"- **{report.name}**: {report.reason}" for report in reports if not report.episodes]
    by_text: dict[str, list[str]] = {}
    for report in converted:
        for warning in report.warnings:
            by_text.setdefault(warning, []).append(report.name)
    lines += [f"- {text} ({_some(names)})" for text, names in by_text.items()]
    lines += ["- none"] if lines[-1] == "" else []
    lines += [
        "",
        "## Bags",
        "",
        "| bag | instruction | outcome | recorded s | episodes s | idle cut s | gaps | frame Hz | joint Hz |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for report in converted:
        images = [rate for topic, rate in report.rates_hz.items() if "image" in topic] or [0.0]
        joints = [rate for topic, rate in report.rates_hz.items() if "joint" in topic] or [0.0]
        lengths = ", ".join(f"{length:.1f}" for length in report.lengths_s)
        lines.append(
            f"| {report.name} | {report.instruction} | {report.outcome} | {report.duration_s:.1f} | {lengths} | "
            f"{report.idle_s[0]:.1f} + {report.idle_s[1]:.1f} | {len(report.gaps)} | {images[0]:.1f} | {joints[0]:.1f} |"
        )
    lines += [
        "",
        "![Length, rates and gaps of every bag](streams.png)",
        "",
        "![Ranges of measured joints and actions between the limits](joints.png)",
        "",
        "![First, middle and last frame of the episodes](thumbnails.png)",
        "",
    ]
    return "\n".join(lines)


def draw_streams(path: Path, reports: Sequence[BagReport]) -> None:
    """Every bag as a line in time, its gaps in red, beside the rates of its streams."""
    plot = _pyplot()
    figure, (left, right) = plot.subplots(1, 2, figsize=(11, 1.2 + 0.25 * len(reports)), sharey=True, layout="constrained")
    for row, report in enumerate(reports):
        left.barh(row, report.duration_s, height=0.6, color="#9ecae1")
        left.broken_barh([(start, max(length, 0.02)) for start, length in report.gaps], (row - 0.3, 0.6), color="#d62728")
    for topic in sorted({topic for report in reports for topic in report.rates_hz}):
        right.plot([report.rates_hz.get(topic, np.nan) for report in reports], range(len(reports)), "o", label=topic, markersize=4)
    left.set_yticks(range(len(reports)), [report.name for report in reports], fontsize=7)
    left.set_xlabel("recorded s (red: gaps)")
    right.set_xlabel("Hz")
    right.set_xlim(left=0)
    right.legend(fontsize=7)
    left.invert_yaxis()
    figure.savefig(path, dpi=110)
    plot.close(figure)


def draw_joints(path: Path, reports: Sequence[BagReport], embodiment: Embodiment) -> None:
    """Range of every joint over all bags: measured (wide) and actions (narrow), from lower (0) to upper limit (1)."""
    plot = _pyplot()

    def share(field: str, reduce) -> np.ndarray:
        values = reduce([getattr(report, field) for report in reports], axis=0)
        return (values - embodiment.lower) / (embodiment.upper - embodiment.lower)

    figure, axes = plot.subplots(figsize=(8, 1 + 0.2 * len(embodiment.joints)), layout="constrained")
    rows = np.arange(len(embodiment.joints))
    for low, high, height, colour, label in (
        ("lower", "upper", 0.7, "#9ecae1", "measured"),
        ("target_lower", "target_upper", 0.25, "#08519c", "actions"),
    ):
        start, end = share(low, np.min), share(high, np.max)
        axes.barh(rows, np.maximum(end - start, 0.003), left=start, height=height, color=colour, label=label)
    axes.set_yticks(rows, embodiment.joint_names, fontsize=7)
    axes.set_xlabel("from lower (0) to upper limit (1)")
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.invert_yaxis()
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plot.close(figure)


def draw_thumbnails(path: Path, files: Sequence[Path]) -> None:
    """First, middle and last frame of each episode, three rows, one column an episode."""
    plot = _pyplot()
    columns = len(files)
    figure, axes = plot.subplots(3, columns, figsize=(0.9 * columns + 0.4, 3), squeeze=False, layout="constrained")
    for column, file in enumerate(files):
        for row, image in enumerate(np.load(file)[:3]):
            axes[row, column].imshow(image)
    for each in axes.flat:
        each.axis("off")
    figure.savefig(path, dpi=130)
    plot.close(figure)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
