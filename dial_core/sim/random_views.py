"""Random pictures of the table for pretraining: what is where in the image, from poses no episode needs to reach.

Half of the views use the task's own layouts, half scatter 0 to 3 objects over the whole table. The hand is drawn from a
library of reachable palm poses, sometimes with an object in the grasp or just in front of it.
"""

from weakref import WeakKeyDictionary

import mujoco
import numpy as np

from dial_core.sim.expert.kinematic_arm import KinematicArm, palm_rotation
from dial_core.sim.objects import ObjectSpec, sample_object, yaw_quaternion
from dial_core.sim.scene import TABLE_COLOURS, sample_scene
from dial_core.sim.table_model import TABLE_TOP_M
from dial_core.sim.world import World

LIBRARY_SIZE = 300
TABLE_X = (0.16, 0.47)  # where things may lie [m]
TABLE_Y = (-0.30, 0.08)
PALM_LOW = np.array([0.17, -0.36, 0.07])  # corners of the box of palm poses [m]
PALM_HIGH = np.array([0.46, 0.06, 0.28])
JOINT_NOISE_RAD = 0.06
CLEAR_M = 0.075  # between the centres of two objects
EDGE_PX = 1.0  # a point closer to the border counts as outside

_libraries: WeakKeyDictionary[World, np.ndarray] = WeakKeyDictionary()


def random_view(world: World, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """A random picture and where things are in it.

    Returns:
        image uint8 (H, W, 3), and name -> (x, y) [px] of the centres of visible objects, plate and placemat, of `palm`
        (centre) and `thumb` (tip). Hidden and cropped things are left out. The world's state is overwritten.
    """
    joints = _random_joints(world, rng)
    world.put_robot(joints)
    grasp = world.data.site_xpos[world.grasp_site].copy()
    things, colour = _task_layout(world, rng) if rng.random() < 0.5 else _scattered(world, rng)
    furniture, objects = things[-2:], list(things[:-2])
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
    objects = [t for t in objects if np.linalg.norm(t.xy - grasp[:2]) > CLEAR_M or grasp[2] > TABLE_TOP_M + 0.16]
    world.lay_out((*objects, *([held] if held else []), *furniture), colour)
    if held:
        position, quaternion = _in_grasp(world, held, rng)
        world.slots[held.type].place(world.model, world.data, position, quaternion)
    world.put_robot(joints)
    return world.render(), _annotations(world, [*objects, *([held] if held else []), *furniture])


def _random_joints(world: World, rng: np.random.Generator) -> np.ndarray:
    library = _library(world)
    joints = library[rng.integers(len(library))].copy()
    if rng.random() < 0.15:
        joints = world.embodiment.home_position.copy()
    groups = np.array([joint.group for joint in world.embodiment.joints])
    arm, waist, hand = groups == f"{world.task.hand}_arm", groups == "waist", groups == f"{world.task.hand}_hand"
    joints[arm] += rng.normal(0.0, JOINT_NOISE_RAD, arm.sum())
    joints[waist] += rng.normal(0.0, 0.01, waist.sum())
    closure = rng.choice([0.0, rng.uniform(0.0, 1.0), rng.uniform(0.4, 0.75)])
    thumb_yaw = 1.6 if rng.random() < 0.8 else rng.uniform(0.0, 1.74)
    *fingers, thumb = np.clip(closure + rng.normal(0.0, 0.04, 5), 0.0, 1.0)
    joints[hand] = [*(np.array(fingers) * 3.2), thumb * 2.0, thumb_yaw]
    return joints


def _library(world: World) -> np.ndarray:
    """Joints (LIBRARY_SIZE, 29) of reachable palm poses over the table; computed once for a world, same for every one."""
    if world in _libraries:
        return _libraries[world]
    rng = np.random.default_rng(2026)
    arm = KinematicArm(world.robot_model, world.embodiment, world.task.hand)
    home = world.embodiment.home_position
    poses: list[np.ndarray] = []
    while len(poses) < LIBRARY_SIZE:
        position = rng.uniform(PALM_LOW, PALM_HIGH)
        heading = 0.35 + 1.4 * (position[1] + 0.15) + rng.normal(0.0, 0.25)
        arm.start(home)
        joints = arm.follow(position, palm_rotation(heading, rng.normal(0.25, 0.15)), iterations=25)
        if arm.error()[0] < 0.01:
            poses.append(joints)
    _libraries[world] = np.array(poses)
    return _libraries[world]


def _task_layout(world: World, rng: np.random.Generator):
    scene = sample_scene(world.task, world.types, int(rng.integers(2**31)))
    return (*scene.objects, scene.source, scene.goal), scene.table_colour


def _scattered(world: World, rng: np.random.Generator):
    source = sample_object(world.types[world.task.source], rng, rng.uniform(0.26, 0.42), rng.uniform(-0.22, 0.0))
    goal = sample_object(world.types[world.task.target], rng, rng.uniform(*TABLE_X), rng.uniform(*TABLE_Y))
    objects: list[ObjectSpec] = []
    for name in rng.permutation(world.task.objects)[: rng.integers(0, 4)]:
        spot = rng.uniform([TABLE_X[0], TABLE_Y[0]], [TABLE_X[1], TABLE_Y[1]])
        if all(np.linalg.norm(spot - other.xy) > CLEAR_M for other in objects):
            objects.append(sample_object(world.types[str(name)], rng, *spot))
    return (*objects, source, goal), TABLE_COLOURS[rng.integers(len(TABLE_COLOURS))]


def _one_of(world: World, rng: np.random.Generator, objects: list[ObjectSpec], x: float, y: float) -> ObjectSpec:
    """An object at (x, y): of a type that already lies there or of a new one."""
    known = [thing.type for thing in objects]
    name = known[rng.integers(len(known))] if known and rng.random() < 0.7 else rng.choice(world.task.objects)
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
    data, points = world.data, {}
    for thing in things:
        slot = world.slots[thing.type]
        centre = data.xpos[slot.body]
        top = centre + np.array([0.0, 0.0, thing.half_height])
        looks = [centre, top]
        if slot.kind.fixed:  # flat: visible if any part of it is, as a hand often hides the middle
            looks += [top + thing.radius * 0.4 * np.array([*side, 0]) for side in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        seen = any(world.sees(point, {slot.body}) for point in looks)
        points[thing.type] = (centre, seen)
    hand = set(world.hand_bodies)
    palm = data.geom_xpos[world.palm_geom]
    points["palm"] = (palm, world.sees(palm, hand))
    points["thumb"] = (world.thumb_tip(), world.sees(world.thumb_tip(), hand))
    found = {name: world.project(point) for name, (point, seen) in points.items() if seen}
    size = world.image_size
    return {n: p for n, p in found.items() if min(p) >= EDGE_PX and max(p) <= size - EDGE_PX}
