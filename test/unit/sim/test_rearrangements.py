"""Containers, both hands, distractors, appearances. pytest test/unit/sim/test_rearrangements.py"""

import numpy as np
import pytest

from dial_core.sim.suite import load_suite
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
