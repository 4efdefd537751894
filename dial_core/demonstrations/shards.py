"""Shards of one collection, made on any machines under any scheduler, joined to what one machine would have made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dial_core.demonstrations.attempts import Attempts
from dial_core.demonstrations.collection_plan import STATED_LATER, CollectionPlan
from dial_core.demonstrations.packing import joined, pack
from dial_core.errors import DialError
from dial_core.files.disk_space import keeping_nothing
from dial_core.files.fingerprint import FINGERPRINT


def is_shard(folder: Path) -> bool:
    """Whether `dial collect --shard` made the folder."""
    file = folder / FINGERPRINT
    return file.is_file() and "shard" in json.loads(file.read_text())


def all_are_shards(folders: Sequence[Path]) -> bool:
    """Whether the folders are shards, or none of them is.

    Raises:
        DialError: both are among them; the message names which is which.
    """
    shards = [folder for folder in folders if is_shard(folder)]
    others = [folder for folder in folders if folder not in shards]
    if shards and others:
        raise DialError(
            f"shards and whole datasets cannot be joined in one call. Shards: {_listed(shards)}. No shards: {_listed(others)}. "
            "Join the shards first, then the dataset that they give with the others"
        )
    return bool(shards)


def join_shards(folders: Sequence[Path], out: Path) -> Path:
    """The dataset of all shards at `out`: byte for byte that of the same call without --shard.

    Raises:
        DialError: `out` exists, a shard is missing, of another plan, or has not tried far enough.
    """
    if out.exists():
        raise DialError(f"{out} exists already; choose another folder for the joined dataset.")
    plans = [_plan(folder) for folder in folders]
    whole = _whole(plans)
    for folder, plan in zip(folders, plans, strict=True):
        if not plan.agrees(whole) or plan.shard[1] != plans[0].shard[1]:
            raise DialError(f"{folder} is a shard of another collection: {plan}; those named before it are of {whole}")
    parts = plans[0].shard[1]
    if missing := sorted(set(range(1, parts + 1)) - {plan.shard[0] for plan in plans}):
        raise DialError(f"shards {', '.join(f'{part}/{parts}' for part in missing)} are missing; name all {parts} of them")
    attempts = [Attempts(folder) for folder in folders]
    for task in whole.tasks:
        _require_far_enough(task, whole, plans, attempts)
    with keeping_nothing():
        pack(out, whole, dict.fromkeys(whole.tasks, attempts))
    return out


def _whole(plans: Sequence[CollectionPlan]) -> CollectionPlan:
    """The plan of the first shard without the shard, with what the first one that states it says: no two may state different things."""
    stated: dict[str, Any] = {name: next((value for plan in plans if (value := getattr(plan, name))), "") for name in STATED_LATER}
    return replace(plans[0], shard=(1, 1), **stated)


def _require_far_enough(task: str, whole: CollectionPlan, plans: Sequence[CollectionPlan], attempts: Sequence[Attempts]) -> None:
    """Checks that every seed up to the last episode's was tried by the shard that it belongs to."""
    chosen = joined(task, attempts)[0].first(whole.episodes)
    for plan, own in zip(plans, attempts, strict=True):
        tried = own.tally(task).tried
        due = range(plan.seed + plan.shard[0] - 1, chosen[-1] + 1 if chosen else 0, plan.shard[1])
        if len(chosen) < whole.episodes or not tried.issuperset(due):
            raise DialError(
                f"shard {plan.shard[0]}/{plan.shard[1]} in {own.folder} has not tried all of its scenes of {task} up to seed "
                f"{chosen[-1] if chosen else whole.seed}; call its `dial collect` again, with a larger --spare if it had ended"
            )


def _plan(folder: Path) -> CollectionPlan:
    if not is_shard(folder):
        raise DialError(f"{folder} is no shard: it has no {FINGERPRINT} of `dial collect --shard K/N`")
    values = json.loads((folder / FINGERPRINT).read_text())
    return CollectionPlan(**{**values, "tasks": tuple(values["tasks"]), "shard": tuple(values["shard"])})


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
