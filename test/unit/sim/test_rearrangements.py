"""Containers, both hands, distractors, appearances. pytest test/unit/sim/test_rearrangements.py"""

import mujoco
import numpy as np
import pytest

from dial_core.sim.catalogue import load_object
from dial_core.sim.judgement import LYING_M, lying_tolerance_m
from dial_core.sim.suite import load_suite, suite_names
from dial_core.sim.table_model import TABLE_TOP_M
from dial_core.sim.world import World


@pytest.mark.parametrize(
    ("task", "seeds"), [("CuttingboardToPot", (100_002, 100_003)), ("TrayToTieredshelf", (100_012,)), ("PlateToPlate", (100_012,))]
)
def test_the_expert_solves_scenes_of_either_hand(task, seeds, solve):
    world = World(task, image_size=64)
    for seed in seeds:
        solve(world, seed)
        assert world.success(), (task, seed)
    world.close()


def test_an_object_counts_as_in_a_container_standing_or_lying_but_not_on_its_rim_or_beside_it():
    world = World("CuttingboardToPot", image_size=64)
    world.reset(100_000)
    thing, goal = world.scene.objects[world.scene.target], world.scene.goal
    slot = world.slots[thing.type]
    floor = TABLE_TOP_M + 2 * goal.half_height * world.slots[goal.type].kind.floor
    standing, lying = np.array([1.0, 0, 0, 0]), np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0])

    def judged(offset, height, quaternion) -> bool:
        position = np.array([goal.x + offset, goal.y, height])
        slot.place(world.model, world.data, position, quaternion)
        world.put_robot(world.set_points)
        return world.scene.target in world.moved_objects()

    assert judged(0.0, floor + thing.half_height, standing)
    assert judged(0.0, floor + thing.radius, lying)
    assert not judged(0.0, floor + thing.half_height + 0.05, standing)
    assert not judged(goal.radius, floor + thing.half_height, standing)
    world.close()


@pytest.mark.parametrize(("offset_m", "contained"), [(0.033, True), (0.078, False)])
def test_a_box_that_lies_across_the_rim_of_a_pan_is_not_in_it(offset_m, contained):
    world = World("PlateToPan", image_size=64)
    world.reset(100_003)
    thing, goal = world.scene.objects[world.scene.target], world.scene.goal
    assert thing.type == "cereal_box"
    slot, box = world.slots[thing.type], world.model.body_geomadr[world.slots[thing.type].body]
    rim, floor = (TABLE_TOP_M + 2 * goal.half_height * share for share in (1.0, load_object("pan").floor))
    across = np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0])  # along y, beside the pan's middle
    slot.place(world.model, world.data, np.array([goal.x + offset_m, goal.y, rim + thing.radius + 0.004]), across)
    mujoco.mj_forward(world.model, world.data)
    for _ in range(20):
        world.advance(world.set_points, 0.05)
    lowest = world.data.geom_xpos[box, 2] - world.model.geom_size[box, 0]
    assert abs(world.data.xmat[slot.body].reshape(3, 3)[2, 2]) < 0.1  # it lies
    assert lowest == pytest.approx(floor if contained else rim, abs=0.001)
    assert world.moved_objects() == ([world.scene.target] if contained else [])
    assert world.success() == contained
    world.close()


def test_only_a_wall_that_is_clearly_lower_than_where_things_may_lie_narrows_it():
    targets = {task.target for name in suite_names() for task in load_suite(name).tasks}
    containers = [kind for kind in map(load_object, sorted(targets)) if kind.place == "in" and kind.inside is None]
    lowest_m = {kind.name: min(lying_tolerance_m(kind, half_height) for half_height in kind.half_height_m) for kind in containers}
    assert set(lowest_m) == {"pan", "bowl", "tiered_basket", "pot", "basket", "cardboard_box"}
    shallow = {name for name, tolerance_m in lowest_m.items() if tolerance_m != LYING_M}
    assert shallow == {"pan", "bowl", "tiered_basket"}
    for kind in map(load_object, sorted(shallow)):
        for half_height in kind.half_height_m:  # clear of the rim, and of what lies on the floor
            assert 0.014 < lying_tolerance_m(kind, half_height) < 2 * half_height * (1 - kind.floor) - 0.009


def test_a_scene_is_the_same_whatever_was_shown_before_it():
    world = World("PlacematToBasket", image_size=64)
    images = {}
    for seed in (3, 4, 3):
        world.reset(seed)
        image = world.render()
        np.testing.assert_array_equal(image, images.setdefault(seed, image))
    assert np.abs(images[3].astype(int) - images[4]).max() > 50
    world.close()


def test_an_appearance_changes_the_table_and_a_scene_names_it():
    suite = load_suite("unseen_appearance")
    task = suite.task("PlacematToPlate/hazard" if "PlacematToPlate/hazard" in suite.task_names else suite.task_names[7])
    world = World(task, image_size=64)
    world.reset(100_000)
    assert world.scene.appearance.name == task.appearances[0]
    plain = World("PlacematToPlate", image_size=64)
    plain.reset(100_000)
    assert [thing.xy.tolist() for thing in world.scene.objects] == [thing.xy.tolist() for thing in plain.scene.objects]
    assert np.abs(world.render().astype(int) - plain.render()).mean() > 20
    world.close()
    plain.close()


@pytest.mark.parametrize("task", ["PlacematToTieredshelf", "CuttingboardToTieredbasket"])
def test_nothing_stands_inside_of_a_wide_target(task):
    world = World(task, image_size=64)
    for seed in range(120_000, 120_036):
        world.reset(seed)
        deepest_m = -min((contact.dist for contact in world.data.contact[: world.data.ncon]), default=0.0)
        assert deepest_m < 0.0015, seed
    world.close()
