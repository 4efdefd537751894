"""Fixtures that hinge and slide, and the arm that closes them. pytest test/unit/sim/test_articulated.py"""

import numpy as np
import pytest

from dial_core.sim.scene import scene_of
from dial_core.sim.task import load_task
from dial_core.sim.world import World

FIXTURES = {"CanToDrawerClose": "drawer", "BottleToCabinetClose": "cabinet", "MilkToMicrowaveClose": "microwave"}


@pytest.fixture(scope="module", params=FIXTURES)
def kitchen(request):
    world = World(request.param, image_size=64)
    yield world
    world.close()


def put_inside(world) -> None:
    """Teleports the named object to where the fixture wants it, and lets it settle."""
    place, thing = world.slots[world.scene.goal.type], world.scene.objects[world.scene.target]
    body = place.moving if place.kind.inside.moves else place.body
    spot = world.data.xpos[body] + world.data.xmat[body].reshape(3, 3) @ np.array(place.kind.inside.spot)
    spot[2] += thing.half_height + 0.002
    world.slots[thing.type].place(world.model, world.data, spot, np.array([1.0, 0, 0, 0]))
    for _ in range(4):
        world.advance(world.set_points, 0.05)


def test_success_needs_the_object_inside_and_the_fixture_closed(kitchen):
    kitchen.reset(100_001)
    place = kitchen.slots[kitchen.scene.goal.type]
    assert place.kind.name == FIXTURES[kitchen.task.name]
    low, high = place.kind.joint.open
    assert low - 0.01 <= kitchen.data.qpos[place.joint] <= high + 0.01
    assert not kitchen.success()
    put_inside(kitchen)
    assert kitchen.moved_objects() == [0]
    assert not kitchen.success(), "still open"
    kitchen.data.qpos[place.joint] = 0.0
    kitchen.advance(kitchen.set_points, 0.05)
    put_inside(kitchen)
    assert kitchen.success()
    kitchen.reset(100_001)
    kitchen.data.qpos[place.joint] = 0.0
    kitchen.advance(kitchen.set_points, 0.05)
    assert not kitchen.success(), "closed, but empty"


def test_left_handed_scenes_are_the_mirror_image(kitchen):
    left, right = (next(s for s in range(100) if scene_of(kitchen.task, s).hand == hand) for hand in ("left", "right"))
    sides = {}
    for hand, seed in (("left", left), ("right", right)):
        kitchen.reset(seed)
        place = kitchen.slots[kitchen.scene.goal.type]
        sides[hand] = place.kind.joint, kitchen.data.xpos[kitchen.slots[kitchen.scene.objects[0].type].body][1]
    assert sides["left"][1] > 0 > sides["right"][1]
    assert sides["left"][0].position[1] == -sides["right"][0].position[1]


def test_the_expert_closes_it_with_the_object_inside(kitchen, solve):
    steps = solve(kitchen, 100_002)
    assert kitchen.success()
    assert steps < kitchen.task.max_steps


def test_a_hinge_really_turns_and_a_slide_really_slides():
    for name in ("BottleToCabinetClose", "CanToDrawerClose"):
        world = World(name, image_size=64)
        world.reset(100_000)
        place = world.slots[world.scene.goal.type]
        before = world.data.xquat[place.moving].copy(), world.data.xpos[place.moving].copy()
        world.data.qvel[world.model.jnt_dofadr[world.model.joint(f"{place.kind.name}_joint").id]] = -2.0
        world.advance(world.set_points, 0.1)
        turned = not np.allclose(world.data.xquat[place.moving], before[0], atol=1e-3)
        assert turned == (place.kind.joint.type == "hinge")
        assert not np.allclose(world.data.xpos[place.moving], before[1], atol=1e-3)
        world.close()


def test_the_task_says_to_close():
    for name in FIXTURES:
        assert all("close" in phrase or "shut" in phrase for phrase in load_task(name).instructions)
