"""Random images of the table for pretraining: what is where in the image, from poses that no episode needs to reach.

Half of the views use a task's own layout, half scatter up to three objects over the whole table. The hand is drawn from a
library of reachable palm poses, sometimes with an object in the grasp or just in front of it; an object may already stand in
the target, and a fixture may be open, closed or anywhere in between.
"""

from collections.abc import Iterator
from dataclasses import replace

import mujoco
import numpy as np

from dial_core.robot.embodiment import Embodiment
from dial_core.sim.appearances import find_appearances, random_appearance
from dial_core.sim.catalogue import load_object
from dial_core.sim.expert.kinematic_arm import KinematicArm, palm_rotation
from dial_core.sim.objects import ObjectSpec, sample_object, yaw_quaternion
from dial_core.sim.scene import TABLE_COLOURS, sample_scene
from dial_core.sim.suite import load_suite
from dial_core.sim.table_model import TABLE_TOP_M
from dial_core.sim.world import SLOTS_AT_MOST, World

VIEWS_PER_WORLD = 20  # compiling a world for other types and another appearance costs as much as some ten views
LIBRARY_SIZE = 300
TABLE_X = (0.16, 0.47)  # where things may lie [m], for the right hand; mirrored for the left
TABLE_Y = (-0.30, 0.08)
PALM_LOW = np.array([0.17, -0.36, 0.07])  # corners of the box of palm poses [m], likewise
PALM_HIGH = np.array([0.46, 0.10, 0.34])
JOINT_NOISE_RAD = 0.06
CLEAR_M = 0.075  # between the centres of two objects
TALL_M = 0.05  # half height of what keeps its task's place: it would hide the table elsewhere
FIXTURE_DEPTH_M = 0.1  # from a fixture's front to its middle
EDGE_PX = 1.0  # a point closer to the border counts as outside

_libraries: dict[tuple[str, str], np.ndarray] = {}


def random_views(
    suites: dict[str, float], count: int, seed: int, recoloured: float = 0.0
) -> Iterator[tuple[str, np.ndarray, dict[str, tuple[float, float]]]]:
    """`count` random views of the tables of `suites` (name -> weight): (task name, image, places), the last two as in `random_view`.

    Every few views another task's table is set, with movable types drawn from all of its suite and one of the task's
    appearances. The same arguments give the same views. `recoloured`: share of the tables that stand in random colours and light
    instead, in the pattern of one of those appearances, if the task has any.
    """
    loaded = [load_suite(name) for name in suites]
    movable = [sorted({t for task in suite.tasks for t in task.object_types if not load_object(t).fixed}) for suite in loaded]
    weights = np.array(list(suites.values())) / sum(suites.values())
    for first in range(0, count, VIEWS_PER_WORLD):
        rng = np.random.default_rng([seed, first])
        drawn = rng.choice(len(loaded), p=weights)
        task = loaded[drawn].tasks[rng.integers(len(loaded[drawn].tasks))]
        room = SLOTS_AT_MOST - len({task.source, task.target})
        chosen = [str(name) for name in rng.permutation(movable[drawn])[:room]]
        some = max(1, room - 2)
        shown: dict = {"objects": tuple(chosen[:some]), "distractors": tuple(chosen[some:])}
        repaint = recoloured > 0 and rng.random() < recoloured
        if repaint:
            patterns = [appearance.pattern for appearance in find_appearances(task.appearances)]
            shown["appearances"] = (random_appearance(patterns or ["plain"], rng),)
        world = World(task.model_copy(update=shown))
        try:
            world.reset(int(rng.integers(2**31)))
            for _ in range(min(VIEWS_PER_WORLD, count - first)):
                yield task.name, *random_view(world, rng, repaint)
        finally:
            world.close()


def random_view(world: World, rng: np.random.Generator, repaint: bool = False) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """A random image of the world's table, with its appearance and hand, and where things are in it.

    Returns:
        image uint8 (H, W, 3), and name -> (x, y) [px] of the centres of visible objects, source and target by type, of
        `palm` (centre), `thumb` (tip) and `handle` (where a fixture is pushed closed). Hidden and cropped things are left
        out. The world's state is overwritten. `repaint`: each thing has random colours half of the time.
    """
    joints = _random_joints(world, rng)
    world.put_robot(joints)
    grasp = world.data.site_xpos[world.grasp_site].copy()
    things, colour = _task_layout(world, rng) if rng.random() < 0.5 else _scattered(world, rng)
    furniture, objects = things[-2:], list(things[:-2])
    if rng.random() < 0.2:
        inside = _in_target(world, rng, furniture[-1])
        objects = [thing for thing in objects if thing.type != inside.type] + [inside]
    mode = rng.random()
    held = None
    if mode < 0.3:
        held = _one_of(world, rng, objects, *grasp[:2])
        objects = [thing for thing in objects if thing.type != held.type]
    elif mode < 0.5:
        reach = rng.uniform(0.0, 0.12) * _fingers(world)[:2] + rng.normal(0.0, 0.015, 2)
        front = _one_of(world, rng, objects, *(grasp[:2] + reach))
        others = [thing for thing in objects if thing.type != front.type]
        objects = [thing for thing in others if np.linalg.norm(thing.xy - front.xy) > CLEAR_M] + [front]
    # Nothing stands inside the hand, unless it is in the grasp.
    objects = [t for t in objects if np.linalg.norm(t.xy - grasp[:2]) > CLEAR_M or grasp[2] > TABLE_TOP_M + t.base + 0.16]
    shown = [*objects, *([held] if held else []), *furniture]
    world.lay_out(tuple(_repainted(thing, rng) for thing in shown) if repaint else tuple(shown), colour)
    if held:
        position, quaternion = _in_grasp(world, held, rng)
        world.slots[held.type].place(world.model, world.data, position, quaternion)
    world.put_robot(joints)
    return world.render(), _annotations(world, shown)


def _repainted(thing: ObjectSpec, rng: np.random.Generator) -> ObjectSpec:
    """The thing, half of the time with random colours for its parts. The others keep theirs, so that colour stays a cue for the name."""
    if rng.random() < 0.5:
        return thing
    return replace(thing, colours={part: tuple(rng.uniform(0.0, 1.0, 3).tolist()) for part in thing.colours})


def _random_joints(world: World, rng: np.random.Generator) -> np.ndarray:
    library = _library(world)
    joints = library[rng.integers(len(library))].copy()
    if rng.random() < 0.15:
        joints = world.embodiment.home_position.copy()
    groups = np.array([joint.group for joint in world.embodiment.joints])
    arm, waist, hand = groups == f"{world.hand}_arm", groups == "waist", groups == f"{world.hand}_hand"
    joints[arm] += rng.normal(0.0, JOINT_NOISE_RAD, arm.sum())
    joints[waist] += rng.normal(0.0, 0.01, waist.sum())
    closure = rng.choice([0.0, rng.uniform(0.0, 1.0), rng.uniform(0.4, 0.75)])
    thumb_yaw = 1.6 if rng.random() < 0.8 else rng.uniform(0.0, 1.74)
    *fingers, thumb = np.clip(closure + rng.normal(0.0, 0.04, 5), 0.0, 1.0)
    joints[hand] = [*(np.array(fingers) * 3.2), thumb * 2.0, thumb_yaw]
    return joints


def _library(world: World) -> np.ndarray:
    """Joints (LIBRARY_SIZE, 29) of reachable palm poses over the table; computed once for a robot's hand in a process."""
    key = world.embodiment.name, world.hand
    if key not in _libraries:
        _libraries[key] = _palm_poses(world.embodiment, world.robot_model, world.hand)
    return _libraries[key]


def _palm_poses(embodiment: Embodiment, robot_model: mujoco.MjModel, hand: str) -> np.ndarray:
    rng = np.random.default_rng(2026)
    arm = KinematicArm(robot_model, embodiment, hand)
    side = 1.0 if hand == "right" else -1.0
    home = embodiment.home_position
    poses: list[np.ndarray] = []
    while len(poses) < LIBRARY_SIZE:
        position = rng.uniform(PALM_LOW, PALM_HIGH)
        heading = 0.35 + 1.4 * (position[1] + 0.15) + rng.normal(0.0, 0.25)
        arm.start(home)
        joints = arm.follow(position * [1.0, side, 1.0], palm_rotation(side * heading, rng.normal(0.25, 0.15)), iterations=25)
        if arm.error()[0] < 0.01:
            poses.append(joints)
    return np.array(poses)


def _side(world: World) -> float:
    return 1.0 if world.hand == "right" else -1.0


def _task_layout(world: World, rng: np.random.Generator):
    while True:
        scene = sample_scene(world.task, world.types, int(rng.integers(2**31)))
        if scene.hand == world.hand:  # a mirrored fixture is another model
            break
    goal = _partly_open(world, rng, scene.goal)
    return (*scene.objects, *scene.distractors, scene.source, goal), None if scene.appearance else scene.table_colour


def _scattered(world: World, rng: np.random.Generator):
    (*_, source, goal), colour = _task_layout(world, rng)
    side = _side(world)
    if goal.half_height < TALL_M:
        source = sample_object(world.types[world.task.source], rng, rng.uniform(0.26, 0.42), side * rng.uniform(-0.22, 0.0))
        goal = sample_object(world.types[world.task.target], rng, rng.uniform(*TABLE_X), side * rng.uniform(*TABLE_Y))
    objects: list[ObjectSpec] = []
    for name in rng.permutation(_movable(world))[: rng.integers(0, 4)]:
        spot = rng.uniform([TABLE_X[0], TABLE_Y[0]], [TABLE_X[1], TABLE_Y[1]]) * [1.0, side]
        if all(np.linalg.norm(spot - other.xy) > CLEAR_M for other in objects):
            objects.append(sample_object(world.types[str(name)], rng, *spot))
    return (*objects, source, goal), None if colour is None else TABLE_COLOURS[rng.integers(len(TABLE_COLOURS))]


def _partly_open(world: World, rng: np.random.Generator, goal: ObjectSpec) -> ObjectSpec:
    joint = world.types[goal.type].joint
    if joint is None or rng.random() < 0.5:
        return goal
    return replace(goal, opening=float(rng.choice([0.0, rng.uniform(0.0, joint.open[1])])))


def _in_target(world: World, rng: np.random.Generator, goal: ObjectSpec) -> ObjectSpec:
    """An object where a task puts it: in or on the target."""
    kind = world.slots[goal.type].kind
    x, y, base = goal.x, goal.y, 2 * goal.half_height * kind.floor
    if kind.inside:
        spot = np.array(kind.inside.spot)
        if kind.inside.moves and kind.joint:
            spot = spot + np.array(kind.joint.axis) * goal.opening
        x, y, base = x + spot[0], y + spot[1], float(spot[2])
    name = _movable(world)[rng.integers(len(_movable(world)))]
    return replace(sample_object(world.types[name], rng, x + rng.normal(0.0, 0.01), y + rng.normal(0.0, 0.01)), base=base)


def _movable(world: World) -> list[str]:
    """Types that the compiled model holds and a hand can hold."""
    return [name for name, slot in world.slots.items() if not slot.kind.fixed]


def _one_of(world: World, rng: np.random.Generator, objects: list[ObjectSpec], x: float, y: float) -> ObjectSpec:
    """An object at (x, y): of a type that already lies there or of a new one."""
    known = [thing.type for thing in objects]
    name = known[rng.integers(len(known))] if known and rng.random() < 0.7 else rng.choice(_movable(world))
    return sample_object(world.types[str(name)], rng, x, y)


def _fingers(world: World) -> np.ndarray:
    return -world.data.site_xmat[world.grasp_site].reshape(3, 3)[:, 2]


def _in_grasp(world: World, held: ObjectSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pose of a held object: at the grasp point, upright but for a small tilt."""
    position = world.data.site_xpos[world.grasp_site] + rng.normal(0.0, 0.006, 3)
    position[2] = max(position[2] + rng.uniform(-0.01, 0.025), TABLE_TOP_M + held.half_height)
    quaternion, tilt = np.empty(4), np.empty(4)
    axis = np.array([*rng.normal(0.0, 1.0, 2), 0.0])
    mujoco.mju_axisAngle2Quat(tilt, axis / np.linalg.norm(axis), rng.normal(0.0, 0.12))
    mujoco.mju_mulQuat(quaternion, tilt, yaw_quaternion(held.yaw))
    return position, quaternion


def _annotations(world: World, things: list[ObjectSpec]) -> dict[str, tuple[float, float]]:
    data = world.data
    points: dict[str, tuple[np.ndarray, bool]] = {}
    for thing in things:
        slot = world.slots[thing.type]
        bodies = {slot.body, slot.moving}
        centre = data.xpos[slot.body].copy()
        if slot.kind.in_metres:  # its origin is its front's lower edge
            centre += [FIXTURE_DEPTH_M, 0.0, thing.half_height]
        top = centre + np.array([0.0, 0.0, thing.half_height])
        seen_at = [centre, top]
        if slot.kind.fixed:  # wide: visible if any part of it is, as a hand often hides the middle
            seen_at += [top + thing.radius * 0.4 * np.array([*side, 0]) for side in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        points[thing.type] = (centre, any(world.sees(point, bodies) for point in seen_at))
        if slot.kind.joint:
            handle = data.xpos[slot.moving] + data.xmat[slot.moving].reshape(3, 3) @ np.array(slot.kind.joint.push_at)
            points["handle"] = (handle, world.sees(handle, bodies))
    hand = set(world.hand_bodies)
    palm = data.geom_xpos[world.palm_geom]
    points["palm"] = (palm, world.sees(palm, hand))
    points["thumb"] = (world.thumb_tip(), world.sees(world.thumb_tip(), hand))
    found = {name: world.project(point) for name, (point, seen) in points.items() if seen}
    size = world.image_size
    return {n: p for n, p in found.items() if min(p) >= EDGE_PX and max(p) <= size - EDGE_PX}
