"""Scenes: which instance of what stands where, drawn from a seed."""

from dataclasses import dataclass

import numpy as np

from dial_core.errors import DialError
from dial_core.sim.objects import ObjectSpec, ObjectType, sample_object
from dial_core.sim.task import Region, Task

TABLE_COLOURS = ((0.62, 0.50, 0.38), (0.70, 0.62, 0.52), (0.52, 0.44, 0.38), (0.66, 0.64, 0.60))
MARGIN_M = 0.055  # from an object's centre to the edge of what it stands on


@dataclass(frozen=True)
class SceneSpec:
    """A sampled scene. `objects[target]` is what the instruction names; all poses in the robot's base frame."""

    seed: int
    objects: tuple[ObjectSpec, ...]
    target: int
    source: ObjectSpec
    goal: ObjectSpec
    table_colour: tuple[float, float, float]
    instruction: str


def sample_scene(task: Task, types: dict[str, ObjectType], seed: int, target: int | None = None) -> SceneSpec:
    """The scene of `seed`. `target` overrides which object is named and changes nothing else in the picture.

    Raises:
        DialError: `seed` is negative, or `target` is not an index of the scene's objects.
    """
    if seed < 0:
        raise DialError(f"seed {seed} of a scene is negative; seeds are 0, 1, 2, ...")
    rng = np.random.default_rng([seed, 0])
    source = sample_object(types[task.source], rng, *_inside(task.source_region, rng))
    goal = sample_object(types[task.target], rng, *_inside(task.target_region, rng))
    count = 2 if rng.random() < task.second_object_probability else 1
    names = rng.choice(len(task.objects), size=count, replace=False)
    spots = _row(source, count, task.spacing_m, rng)
    objects = tuple(sample_object(types[task.objects[name]], rng, *spot) for name, spot in zip(names, spots, strict=True))
    table_colour = TABLE_COLOURS[rng.integers(len(TABLE_COLOURS))]
    drawn = int(rng.integers(count))
    phrase = task.instructions[rng.integers(len(task.instructions))]
    chosen = drawn if target is None else target
    if not 0 <= chosen < count:
        raise DialError(f"target {target} is not in the scene of seed {seed}, which has {count} object(s): 0..{count - 1}")
    instruction = phrase.format(object=objects[chosen].type, source=task.source, target=task.target)
    return SceneSpec(seed, objects, chosen, source, goal, table_colour, instruction)


def _inside(region: Region, rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(*region.x)), float(rng.uniform(*region.y))


def _row(source: ObjectSpec, count: int, spacing_m, rng: np.random.Generator) -> np.ndarray:
    """Spots (count, 2) [m] side by side along the source's long side, in random order."""
    gap = rng.uniform(*spacing_m) if count > 1 else 0.0
    reach = source.radius - MARGIN_M - gap / 2
    centre = rng.uniform(-reach, reach)
    along = centre + np.array([-0.5, 0.5])[:count] * gap if count > 1 else np.array([centre])
    # The spread in depth is small when two stand side by side, so that a hand can pass between them.
    across = rng.uniform(-0.025, 0.025) + rng.uniform(-0.01, 0.01, size=count)
    cos, sin = np.cos(source.yaw), np.sin(source.yaw)
    spots = source.xy + np.stack([cos * across - sin * along, sin * across + cos * along], axis=1)
    return rng.permutation(spots)
