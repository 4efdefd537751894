"""Which demonstrations a collection holds, and which of them a shard makes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache

import numpy as np

from dial_core.config import config_root
from dial_core.files.code_digest import code_digest, code_of
from dial_core.sim.task import Task, require_training_seed

SPARE_SHARE = 0.05  # of a shard's episodes
STATED_LATER = ("suite", "contents", "sources")
_KINDS = ("appearances", "embodiments", "families", "objects")  # of configuration that scenes draw from, beside what a task says itself


@cache
def sources_of(entry: str) -> str:
    """12 hex digits of the module `entry`, all that it imports, and the data that every scene draws from."""
    return code_digest(code_of(entry), [path for kind in _KINDS for path in sorted((config_root() / kind).rglob("*.yaml"))])


def contents_of(tasks: Sequence[Task]) -> str:
    """12 hex digits of all that tasks say."""
    return hashlib.sha256("".join(task.model_dump_json() for task in tasks).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class CollectionPlan:
    """Which demonstrations are collected: of each task the first `episodes` scenes from `seed` on in which the expert succeeds.

    On a share `disturbed` of the scenes the robot is pushed off the expert's path while the expert's own actions are
    recorded, so that a learner sees how to recover (DART, Laskey et al. 2017). On a share `changed` of the scenes with two
    objects the episode begins with the hand on its way to the other one, so that a learner sees how to obey an instruction
    that changes. On a share `missed` of the others it begins with the hand closed beside the object, so that a learner sees
    how to grasp again. In tasks whose scenes may hold two objects, a share `two_objects` of the scenes does: only there does a learner see
    what a name is for. Shard (k, n), k = 1..n, has every n-th seed, and collects `spare` episodes more than its share: where it
    succeeds others may fail.

    `suite`, `contents` of the tasks and `sources` (digests of what they say, and of world and expert) tell collections apart whose tasks
    have equal names; `of` fills them. They are empty in collections that an earlier version began.
    """

    tasks: tuple[str, ...]
    episodes: int
    seed: int
    disturbed: float
    image_size: int = 96
    shard: tuple[int, int] = (1, 1)
    spare: int | None = None  # of a shard; by default 5 % and at least 2
    changed: float = 0.0
    missed: float = 0.0
    two_objects: float | None = None  # by default as many as the task's scenes have
    suite: str = ""
    contents: str = ""
    sources: str = ""

    def of(self, tasks: Sequence[Task], sources: str) -> CollectionPlan:
        """The plan of tasks that say this, made by world and expert of this digest."""
        return replace(self, contents=contents_of(tasks), sources=sources)

    @property
    def unknown_before(self) -> dict[str, str]:
        """What a collection that an earlier version began is taken to have: it does not say."""
        return {name: getattr(self, name) for name in STATED_LATER}

    def agrees(self, other: CollectionPlan) -> bool:
        """Whether both collect the same, whatever their shards; what one does not state agrees with anything."""
        ours, theirs = (asdict(replace(plan, shard=(1, 1))) for plan in (self, other))
        return all(value == theirs[key] or (key in STATED_LATER and "" in (value, theirs[key])) for key, value in ours.items())

    @property
    def identity(self) -> dict:
        """Settings that a resumed collection must have in common with the one that started it."""
        # Collections from before there were such shares resume.
        later = {field.name: field.default for field in fields(self) if field.name in ("changed", "missed", "two_objects", *STATED_LATER)}
        unset = {"spare"} | {name for name, usual in later.items() if getattr(self, name) == usual}
        return {key: value for key, value in asdict(self).items() if key not in unset}

    def seeds(self, task: Task) -> Iterator[int]:
        """This shard's seeds in order, without those that `two_objects` leaves out.

        Raises:
            DialError: the next one is reserved for evaluation.
        """
        part, parts = self.shard
        at = self.seed + part - 1
        while True:
            require_training_seed(at)
            if self._shows(task, at):
                yield at
            at += parts

    def _shows(self, task: Task, seed: int) -> bool:
        """Whether the scene of `seed` belongs to the collection; of scenes that are too many a seed of its own leaves some out."""
        usual, wanted = task.second_object_probability if len(task.objects) > 1 else 0.0, self.two_objects
        if wanted is None or not 0.0 < usual < 1.0:
            return True
        from dial_core.sim.scene import scene_of  # loads the simulator, without which datasets are joined

        kept = wanted / usual, (1.0 - wanted) / (1.0 - usual)
        two = len(scene_of(task, seed).objects) > 1
        return bool(np.random.default_rng([seed, 13]).random() < kept[not two] / max(kept))

    @property
    def wanted(self) -> int:
        """Successes of each task that this shard collects."""
        parts = self.shard[1]
        share = math.ceil(self.episodes / parts)
        if parts == 1:
            return share
        return share + (max(2, math.ceil(SPARE_SHARE * share)) if self.spare is None else self.spare)
