"""A task: which objects lie where, what is asked and when it is done. Data only (`config/tasks/<name>.yaml`)."""

from typing import Literal

from dial_core.config import Config, config_root, load_config
from dial_core.errors import DialError
from dial_core.sim.appearances import NamedOrGiven
from dial_core.sim.camera import CameraMount

EVALUATION_SEEDS_FROM = 100_000  # scenes of smaller seeds are for training

Range = tuple[float, float]  # (lowest, highest)


def require_training_seed(seed: int) -> None:
    """Checks that no demonstration shows a scene on which policies are evaluated.

    Raises:
        DialError: the seed is reserved for evaluation.
    """
    if seed >= EVALUATION_SEEDS_FROM:
        raise DialError(f"seed {seed} is reserved for evaluation (from {EVALUATION_SEEDS_FROM}); choose a smaller one")


class Region(Config):
    """A rectangle on the table, in the robot's base frame [m]."""

    x: Range
    y: Range


class Task(Config):
    """Move one object from `source` to `target`; close the target too if it can be closed.

    With `hand: nearer` half of the scenes are mirrored in the plane y = 0, and the arm on that side works. Regions are
    those of the right hand. `appearances`: names of appearances or pools in `config/appearances/`, or whole appearances; without
    any, the table is of one colour.
    """

    name: str
    hand: Literal["left", "right", "nearer"]
    source: str
    target: str
    objects: tuple[str, ...]
    second_object_probability: float
    spacing_m: Range  # distance between two objects on the source
    max_steps: int  # control steps
    source_region: Region
    target_region: Region
    target_yaw_rad: Range | None = None  # instead of the target's own range
    instructions: tuple[str, ...]  # with {object}, {source}, {target} and {place} (in, on)
    distractors: tuple[str, ...] = ()  # types that may stand elsewhere on the table
    distractor_count: tuple[int, int] = (0, 0)
    distractor_regions: tuple[Region, ...] = ()
    appearances: tuple[NamedOrGiven, ...] = ()
    camera: CameraMount | None = None  # instead of the embodiment's head camera mount

    @property
    def object_types(self) -> tuple[str, ...]:
        """Returns every type that the task's scenes may hold: movable objects first, then source, target and distractors."""
        return tuple(dict.fromkeys((*self.objects, self.source, self.target, *self.distractors)))


def load_task(name: str) -> Task:
    """The task `name` from `config/tasks/`, or the one in a file `name.yaml`."""
    return load_config(Task, "tasks", name)


def task_names() -> list[str]:
    """Returns the names of all tasks in `config/tasks/`, sorted."""
    return sorted(path.stem for path in (config_root() / "tasks").glob("*.yaml"))
