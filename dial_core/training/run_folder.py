"""A run's folder: checkpoints that are complete or absent, their pruning, the log and its curve."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from dial_core.files.atomic import flush_folder, write_text
from dial_core.files.integrity import damage_in

STAGING = ".partial"  # a checkpoint is written in here and then renamed


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, folder) of every checkpoint from which a run can resume, oldest first; damaged ones are named on the console."""
    found = published(folder)
    damage = {path: damage_in(path) for _, path in found}
    for path, fault in damage.items():
        if fault and os.environ.get("RANK", "0") == "0":
            before = max((step for step, other in found if not damage[other]), default=0)
            print(f"{path} is damaged ({fault}) and not used; resuming from step {before}", file=sys.stderr, flush=True)
    return [(step, path) for step, path in found if not damage[path]]


def published(folder: Path) -> list[tuple[int, Path]]:
    """(step, folder) of every checkpoint that was published, oldest first, whether or not its files are still whole."""
    found = [(int(path.name.rsplit("-", 1)[1]), path) for path in folder.glob("checkpoint-*") if path.name.rsplit("-", 1)[1].isdigit()]
    return sorted(found)


def publish(folder: Path, step: int) -> Path:
    """Moves the finished checkpoint of `step` out of staging: from now on a reader finds it, whole."""
    staged, final = folder / STAGING / f"checkpoint-{step}", folder / f"checkpoint-{step}"
    flush_folder(staged)  # a power cut after the rename must not leave empty files
    if final.exists():  # of an earlier life of this run, and equal to this one
        shutil.rmtree(final)
    os.rename(staged, final)
    return final


def prune(folder: Path, keep: int, keep_every_steps: int | None, newest: int) -> None:
    """Deletes all checkpoints but the `keep` newest whole ones, those at multiples of `keep_every_steps`, and the one just published.

    Damaged ones do not count, as no run resumes from them: one of an earlier life, of a later step than `newest`, must not push out the
    checkpoints of this life.
    """
    found = published(folder)
    whole = [step for step, path in found if not damage_in(path)]
    milestones = {step for step, _ in found if keep_every_steps and step % keep_every_steps == 0}
    kept = {newest, *whole[-keep:], *milestones}
    for step, path in found:
        if step not in kept:
            doomed = folder / STAGING / f"old-{path.name}"  # renamed first: nobody resumes from a half-deleted one
            doomed.parent.mkdir(exist_ok=True)
            shutil.rmtree(doomed, ignore_errors=True)
            os.rename(path, doomed)
            shutil.rmtree(doomed)


def clear_staging(folder: Path) -> None:
    """Removes what a killed run left unfinished."""
    shutil.rmtree(folder / STAGING, ignore_errors=True)


def rewind_log(log: Path, step: int) -> None:
    """Drops the rows after `step`, which a resumed run is about to write again, and a row that was cut off."""
    if not log.exists():
        return
    rows = []
    for line in log.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row["step"] <= step:
            rows.append(line)
    write_text(log, "".join(f"{row}\n" for row in rows))


def draw_loss_curve(log: Path, image: Path, title: str) -> None:
    """Draws every loss in `log` (JSON lines with `step`) over the steps, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for name in sorted({key for row in rows for key in row if key.endswith("loss")}):
        points = sorted((row["step"], row[name]) for row in rows if name in row)
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
    axes.set(title=title, xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(image, dpi=120)
    pyplot.close(figure)
