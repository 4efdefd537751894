"""From attempts to a dataset: the first successes of every task, a report of the failures before them, and previews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.preview import write_previews
from dial_core.demonstrations.attempts import Attempts, Tally
from dial_core.demonstrations.collection_plan import CollectionPlan
from dial_core.files.atomic import atomic_folder, write_json
from dial_core.robot.embodiment import load_embodiment


def pack(out: Path, plan: CollectionPlan, sources: Mapping[str, Sequence[Attempts]]) -> None:
    """Writes the dataset of `plan` to `out`, which appears complete or not at all.

    `sources`: for each task, in the order of the dataset, the folders whose attempts count.
    """
    paths: list[Path] = []
    counted: dict[str, dict] = {}
    for task, folders in sources.items():
        found, places = joined(task, folders)
        chosen = found.first(plan.episodes)
        paths += [places[seed] for seed in chosen]
        failures = {at: reason for at, reason in sorted(found.failures.items()) if at < chosen[-1]}
        counted[task] = {"episodes": len(chosen), "failed": len(failures), "failures": failures}
    report = {
        "task": ", ".join(counted),
        "seed": plan.seed,
        "disturbed": plan.disturbed,
        "changed": plan.changed,
        "missed": plan.missed,
        "two_objects": plan.two_objects,
        "episodes": len(paths),
        "failed": sum(count["failed"] for count in counted.values()),
        "tasks": counted,
    }
    with atomic_folder(out) as partial:
        write_dataset(partial, paths, load_embodiment(), (plan.image_size, plan.image_size))
        write_json(partial / "meta/collection.json", report)
        write_previews(partial)


def joined(task: str, folders: Sequence[Attempts]) -> tuple[Tally, dict[int, Path]]:
    """Returns the attempts of several folders at one task together, and the file of each success."""
    whole = Tally()
    places: dict[int, Path] = {}
    for attempts in folders:
        tally = attempts.tally(task)
        whole.successes |= tally.successes
        whole.failures |= tally.failures
        places |= {seed: attempts.episode(task, seed) for seed in tally.successes}
    return whole, places
