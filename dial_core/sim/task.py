"""A task: which objects lie where, what is asked and when it is done. Data only (`config/tasks/<name>.yaml`)."""

from typing import Literal

from dial_core.config import Config, load_config

EVALUATION_SEEDS_FROM = 100_000  # scenes of smaller seeds are for training

Range = tuple[float, float]  # (lowest, highest)


class Region(Config):
    """A rectangle on the table, in the robot's base frame [m]."""

    x: Range
    y: Range


class Task(Config):
    """A rearrangement: move one object from `source` to `target`."""

    name: str
    hand: Literal["left", "right"]
    source: str
    target: str
    objects: tuple[str, ...]
    second_object_probability: float
    spacing_m: Range  # distance between two objects on the source
    max_steps: int  # control steps
    source_region: Region
    target_region: Region
    instructions: tuple[str, ...]  # with {object}, {source}, {target}

    @property
    def object_types(self) -> tuple[str, ...]:
        """Every type the task's model needs: movable objects first, then source and target."""
        return (*self.objects, *dict.fromkeys((self.source, self.target)))


def load_task(name: str) -> Task:
    """The task `name` from `config/tasks/`."""
    return load_config(Task, "tasks", name)
