"""Scenes: object instances with their poses, sampled from a seed."""

from dataclasses import dataclass, replace

import numpy as np

from dial_core.errors import DialError
from dial_core.sim.appearances import Appearance, find_appearances
from dial_core.sim.catalogue import ObjectType, load_object
from dial_core.sim.objects import ObjectSpec, sample_object
from dial_core.sim.task import Region, Task

TABLE_COLOURS = ((0.62, 0.50, 0.38), (0.70, 0.62, 0.52), (0.52, 0.44, 0.38), (0.66, 0.64, 0.60))
EVERYDAY = ("can", "mug")  # what another instruction names in scenes of a task that knows one type, if nothing else stands there
MARGIN_M = 0.055  # from an object's centre to the edge of what it stands on

# Streams of a seed: 0 the task's own draws, 1 the robot's pose, 2 the expert, 3 the collector, 4 to 7 what tasks have beside, 8 and 9
# changes of the instruction, 10 and 11 a grasp that misses, 13 whether a scene with one or two objects is demonstrated.
SIDE, APPEARANCE, DISTRACTORS, OPENING = 4, 5, 6, 7


@dataclass(frozen=True)
class SceneSpec:
    """A sampled scene. `objects[target]` is what the instruction names; all poses in the robot's base frame.

    `hand`: the one that does it; `appearance`: None for a table of one colour without anything around.
    """

    seed: int
    objects: tuple[ObjectSpec, ...]
    target: int
    source: ObjectSpec
    goal: ObjectSpec
    table_colour: tuple[float, float, float]
    instruction: str
    hand: str = "right"
    distractors: tuple[ObjectSpec, ...] = ()
    appearance: Appearance | None = None

    @property
    def things(self) -> tuple[ObjectSpec, ...]:
        """All objects on the table."""
        return (*self.objects, self.source, self.goal, *self.distractors)


def scene_of(task: Task, seed: int, target: int | None = None) -> SceneSpec:
    """Returns the scene of `seed` without compiling a world; see `sample_scene`."""
    return sample_scene(task, {name: load_object(name) for name in task.object_types}, seed, target)


def sample_scene(task: Task, types: dict[str, ObjectType], seed: int, target: int | None = None) -> SceneSpec:
    """Samples the scene of `seed`. `target` overrides which object the instruction names and changes nothing else.

    Raises:
        DialError: `seed` is negative, or `target` is not an index of the scene's objects.
    """
    if seed < 0:
        raise DialError(f"seed {seed} of a scene is negative; seeds are 0, 1, 2, ...")
    rng = np.random.default_rng([seed, 0])
    source = sample_object(types[task.source], rng, *_inside(task.source_region, rng))
    goal = sample_object(types[task.target], rng, *_inside(task.target_region, rng))
    count = min(2 if rng.random() < task.second_object_probability else 1, len(task.objects))
    names = rng.choice(len(task.objects), size=count, replace=False)
    spots = _row(source, count, task.spacing_m, rng)
    objects = tuple(sample_object(types[task.objects[name]], rng, *spot) for name, spot in zip(names, spots, strict=True))
    table_colour = TABLE_COLOURS[rng.integers(len(TABLE_COLOURS))]
    drawn = int(rng.integers(count))
    phrase = task.instructions[rng.integers(len(task.instructions))]
    chosen = drawn if target is None else target
    if not 0 <= chosen < count:
        raise DialError(f"target {target} is not in the scene of seed {seed}, which has {count} object(s): 0..{count - 1}")
    instruction = _said(task, types, phrase, types[objects[chosen].type].called)
    standing = 2 * source.half_height * types[task.source].floor
    objects = tuple(replace(thing, base=standing) for thing in objects)
    scene = SceneSpec(seed, objects, chosen, source, goal, table_colour, instruction)
    return _dressed(task, types, scene)


def other_instruction(task: Task, seed: int) -> str:
    """Returns the instruction of the same scene with another object named.

    The other one on the source; else a type of the task that is absent; else, where the task has one type only, a distractor on the
    table; without distractors something that is absent.
    """
    scene = scene_of(task, seed)
    if len(scene.objects) > 1:
        return scene_of(task, seed, (scene.target + 1) % len(scene.objects)).instruction
    present = {thing.type for thing in scene.things}
    absent = [name for name in task.objects if name not in present] or [thing.type for thing in scene.distractors]
    absent = absent or [name for name in EVERYDAY if name not in present]
    other, named = (load_object(name).called for name in (absent[seed % len(absent)], scene.objects[scene.target].type))
    return scene.instruction.replace(named, other, 1)


def _said(task: Task, types: dict[str, ObjectType], phrase: str, noun: str) -> str:
    goal = types[task.target]
    return phrase.format(object=noun, source=types[task.source].called, target=goal.called, place=goal.place)


def _dressed(task: Task, types: dict[str, ObjectType], scene: SceneSpec) -> SceneSpec:
    """Adds what a task may specify: opening, distractors, appearance, mirrored side."""
    changes: dict = {"hand": task.hand}
    goal = scene.goal
    if task.target_yaw_rad is not None:
        goal = replace(goal, yaw=float(np.random.default_rng([scene.seed, OPENING, 1]).uniform(*task.target_yaw_rad)))
    if joint := types[task.target].joint:
        goal = replace(goal, opening=float(np.random.default_rng([scene.seed, OPENING]).uniform(*joint.open)))
    distractors = _distractors(task, types, scene)
    left = False
    if task.hand == "nearer":
        left = bool(np.random.default_rng([scene.seed, SIDE]).random() < 0.5)
        changes["hand"] = "left" if left else "right"
    appearances = find_appearances(task.appearances)
    paint: tuple = ()
    if appearances:
        changes["appearance"] = appearance = appearances[np.random.default_rng([scene.seed, APPEARANCE]).integers(len(appearances))]
        paint = appearance.repaint

    def placed(thing: ObjectSpec, index: int) -> ObjectSpec:
        if left:
            thing = replace(thing, y=-thing.y, yaw=-thing.yaw)
        if paint:
            thing = replace(thing, colours=_repainted(types[thing.type], paint, index))
        return thing

    changes["objects"] = tuple(placed(thing, 2 * i) for i, thing in enumerate(scene.objects))
    changes["distractors"] = tuple(placed(thing, 1 + i) for i, thing in enumerate(distractors))
    changes["source"], changes["goal"] = placed(scene.source, 3), placed(goal, 4)
    return replace(scene, **changes)


def _repainted(kind: ObjectType, paint: tuple, index: int) -> dict:
    """Returns an object's part colours taken from an appearance, from the first at `index` or after that differs from its own."""
    own = np.array([colour for choices in kind.colours.values() for colour in choices])
    first = max(range(len(paint)), key=lambda i: min(0.2, np.linalg.norm(own - paint[(index + i) % len(paint)], axis=1).min()))
    return {name: paint[(index + first + i) % len(paint)] for i, name in enumerate(kind.colours)}


def _distractors(task: Task, types: dict[str, ObjectType], scene: SceneSpec) -> list[ObjectSpec]:
    rng = np.random.default_rng([scene.seed, DISTRACTORS])
    count = int(rng.integers(task.distractor_count[0], task.distractor_count[1] + 1))
    absent = [name for name in task.distractors if name not in {thing.type for thing in scene.things}]
    regions = rng.permutation(len(task.distractor_regions))[:count]
    names = rng.permutation(len(absent))[:count]
    found = []
    for name, region in zip(names, regions, strict=False):
        spot = _inside(task.distractor_regions[region], rng)
        found.append(sample_object(types[absent[name]], rng, *spot))
    return found


def _inside(region: Region, rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(*region.x)), float(rng.uniform(*region.y))


def _row(source: ObjectSpec, count: int, spacing_m, rng: np.random.Generator) -> np.ndarray:
    """Returns positions (count, 2) [m] side by side along the source's long side, in random order."""
    gap = rng.uniform(*spacing_m) if count > 1 else 0.0
    reach = source.radius - MARGIN_M - gap / 2
    centre = rng.uniform(-reach, reach)
    along = centre + np.array([-0.5, 0.5])[:count] * gap if count > 1 else np.array([centre])
    # The spread in depth is small when two stand side by side, so that a hand can pass between them.
    across = rng.uniform(-0.025, 0.025) + rng.uniform(-0.01, 0.01, size=count)
    cos, sin = np.cos(source.yaw), np.sin(source.yaw)
    spots = source.xy + np.stack([cos * across - sin * along, sin * across + cos * along], axis=1)
    return rng.permutation(spots)
