"""From attempts to a dataset: the first successes of every task, what failed before them, and what it looks like."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.preview import write_previews
from dial_core.demonstrations.attempts import Attempts, Tally
from dial_core.robot.embodiment import load_embodiment

if TYPE_CHECKING:
    from dial_core.demonstrations.collect import Plan


def pack(out: Path, scratch: Path, plan: Plan, sources: Mapping[str, Sequence[Attempts]]) -> None:
    """Writes the dataset of `plan` to `out`, which appears complete or not at all.

    `sources`: for each task, in the order of the dataset, the folders whose attempts count. `scratch` is on the same disk.
    """
    paths: list[Path] = []
    counted: dict[str, dict] = {}
    for task, folders in sources.items():
        found, places = joined(task, folders)
        chosen = found.first(plan.episodes)
        paths += [places[seed] for seed in chosen]
        failures = {at: reason for at, reason in sorted(found.failures.items()) if at < chosen[-1]}
        counted[task] = {"episodes": len(chosen), "failed": len(failures), "failures": failures}
    write_dataset(scratch, paths, load_embodiment(), (plan.image_size, plan.image_size))
    report = {
        "task": ", ".join(counted),
        "seed": plan.seed,
        "disturbed": plan.disturbed,
        "episodes": len(paths),
        "failed": sum(count["failed"] for count in counted.values()),
        "tasks": counted,
    }
    (scratch / "meta/collection.json").write_text(json.dumps(report, indent=2) + "\n")
    write_previews(scratch)
    out.parent.mkdir(parents=True, exist_ok=True)
    os.replace(scratch, out)


def joined(task: str, folders: Sequence[Attempts]) -> tuple[Tally, dict[int, Path]]:
    """What several folders hold of one task together, and the file of each success."""
    whole = Tally()
    places: dict[int, Path] = {}
    for attempts in folders:
        tally = attempts.tally(task)
        whole.successes |= tally.successes
        whole.failures |= tally.failures
        places |= {seed: attempts.episode(task, seed) for seed in tally.successes}
    return whole, places
