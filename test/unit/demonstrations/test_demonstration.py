"""pytest test/unit/demonstrations/test_demonstration.py"""

import numpy as np
import pytest

from dial_core.demonstrations import beginnings
from dial_core.demonstrations.demonstration import demonstrate
from dial_core.sim.scene import scene_of
from dial_core.sim.task import load_task
from dial_core.sim.world import World

TASK = load_task("CuttingboardToBasket")
TWO = next(seed for seed in range(100) if len(scene_of(TASK, seed).objects) == 2)
ONE = next(seed for seed in range(100) if len(scene_of(TASK, seed).objects) == 1)


@pytest.fixture(scope="module")
def world():
    world = World(TASK)
    yield world
    world.close()


def test_after_a_change_the_episode_begins_on_the_way_to_the_other_object_and_moves_the_named_one(world):
    episode, reason = demonstrate(world, TWO, changed=True)
    assert episode is not None, reason
    assert episode.facts["changed"]
    assert episode.instruction == scene_of(TASK, TWO).instruction
    assert list(world.moved_objects()) == [scene_of(TASK, TWO).target]
    world.reset(TWO)
    away = np.abs(episode.states[0][world.embodiment.joint_slice] - world.joint_positions())
    assert away.max() > 0.1


def test_after_a_miss_the_episode_begins_with_the_hand_closed_beside_the_object_and_grasps_again(world):
    episode, reason = demonstrate(world, ONE, missed=True)
    assert episode is not None, reason
    assert episode.facts["missed"]
    assert world.success()
    fingers = world.embodiment.group_slice(f"{world.hand}_hand").start
    commanded = episode.actions[:, fingers]
    assert episode.states[0][fingers] > 1.5
    assert commanded[0] > 0.8 * commanded.max()  # it opens from where it is, without a jump
    assert commanded[:30].min() < 0.05
    assert commanded[30:].max() > 1.5


def test_an_object_that_the_miss_has_moved_ends_the_attempt(world, monkeypatch):
    for of in ("SHORT_M", "ASIDE_M", "ABOVE_M"):
        monkeypatch.setattr(beginnings, of, (0.0, 1e-9))  # no miss: the object is lifted
    assert demonstrate(world, ONE, missed=True) == (None, "the hand did not miss the object")


def test_a_scene_with_one_object_has_no_change(world):
    episode, _ = demonstrate(world, ONE, changed=True)
    assert episode is not None
    assert not episode.facts["changed"]
    world.reset(ONE)
    np.testing.assert_allclose(episode.states[0][world.embodiment.joint_slice], world.joint_positions(), atol=1e-6)
