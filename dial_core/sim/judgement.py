"""Success criteria, evaluated on the state of the physics."""

from typing import Protocol

import mujoco
import numpy as np

from dial_core.sim.catalogue import ObjectType
from dial_core.sim.objects import ObjectSlot, ObjectSpec
from dial_core.sim.scene import SceneSpec
from dial_core.sim.table_model import TABLE_TOP_M

REST_SPEED_M_S = 0.05
UPRIGHT_COS = 0.95
LANDING_M = 0.015  # between the object's bottom and the target's floor
LYING_M = 0.03  # the same in a container, where an object may lean on the wall
SHALLOW_M = 0.04  # of a wall lower than this the rim is near LYING_M or below, and things may lie across it
SHALLOW_SHARE = 0.6  # of such a wall's height, instead of LYING_M
HAND_AWAY_M = 0.08  # from the grasp point to the object's centre


class JudgedWorld(Protocol):
    """Inputs of the criteria: a compiled model, its state, and the scene."""

    model: mujoco.MjModel
    data: mujoco.MjData
    slots: dict[str, ObjectSlot]
    scene: SceneSpec
    grasp_sites: list[int]


def succeeded(world: JudgedWorld) -> bool:
    """Whether the named object rests in or on the target, with the hands away from it and the target closed if it can be."""
    slot = world.slots[world.scene.objects[world.scene.target].type]
    still = np.linalg.norm(world.data.qvel[slot.qvel][:3]) < REST_SPEED_M_S
    away = min(np.linalg.norm(world.data.site_xpos[site] - world.data.xpos[slot.body]) for site in world.grasp_sites) > HAND_AWAY_M
    return bool(still and away and world.scene.target in placed_objects(world) and closed(world))


def placed_objects(world: JudgedWorld) -> list[int]:
    """Indices of the scene's objects that are where the task wants one."""
    place = world.slots[world.scene.goal.type]
    judge = _in_room if place.kind.inside else _contained if place.kind.place == "in" else _on_top
    return [index for index, thing in enumerate(world.scene.objects) if judge(world, place, thing)]


def closed(world: JudgedWorld) -> bool:
    """Whether the target is closed; a target without a joint always is."""
    goal = world.slots[world.scene.goal.type]
    if goal.joint is None or goal.kind.joint is None:
        return True
    return bool(world.data.qpos[goal.joint] < goal.kind.joint.closed_below)


def lying_tolerance_m(kind: ObjectType, half_height: float) -> float:
    """How far above the floor of a container of `half_height` [m] the lowest point of what is in it may be [m]."""
    wall = 2 * half_height * (1.0 - kind.floor)
    return SHALLOW_SHARE * wall if wall < SHALLOW_M else LYING_M


def _on_top(world: JudgedWorld, place: ObjectSlot, thing: ObjectSpec) -> bool:
    """Upright on the target's surface."""
    centre, rotation = _pose(world, thing)
    upright = rotation[2, 2] > UPRIGHT_COS
    bottom = centre[2] - thing.half_height - _floor(world, place)
    return bool(upright and _within(world, place, centre) and abs(bottom) < LANDING_M)


def _contained(world: JudgedWorld, place: ObjectSlot, thing: ObjectSpec) -> bool:
    """Inside of the walls and at the bottom, standing or lying."""
    centre, rotation = _pose(world, thing)
    lean = abs(rotation[2, 2])
    bottom = centre[2] - thing.half_height * lean - thing.radius * np.sqrt(1 - min(1.0, lean**2)) - _floor(world, place)
    return bool(_within(world, place, centre) and -LANDING_M < bottom < lying_tolerance_m(place.kind, world.scene.goal.half_height))


def _in_room(world: JudgedWorld, place: ObjectSlot, thing: ObjectSpec) -> bool:
    """Centre in the fixture's room, which may move with its joint."""
    room = place.kind.inside
    assert room is not None
    body = place.moving if room.moves else place.body
    centre, _ = _pose(world, thing)
    local = world.data.xmat[body].reshape(3, 3).T @ (centre - world.data.xpos[body])
    return bool(np.all(local > room.low) and np.all(local < room.high))


def _pose(world: JudgedWorld, thing: ObjectSpec) -> tuple[np.ndarray, np.ndarray]:
    body = world.slots[thing.type].body
    return world.data.xpos[body], world.data.xmat[body].reshape(3, 3)


def _within(world: JudgedWorld, place: ObjectSlot, centre: np.ndarray) -> bool:
    goal = world.scene.goal
    return bool(np.linalg.norm(centre[:2] - goal.xy) < goal.radius * place.kind.room)


def _floor(world: JudgedWorld, place: ObjectSlot) -> float:
    return TABLE_TOP_M + 2 * world.scene.goal.half_height * place.kind.floor
