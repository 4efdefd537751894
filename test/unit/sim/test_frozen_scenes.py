"""Shipped weights were trained on PlacematToPlate as it is: its scenes, images and approaches must not change.

A change of these values is a change of the world that the shipped checkpoint knows. pytest test/unit/sim/test_frozen_scenes.py
"""

import numpy as np
import pytest

from dial_core.sim.expert.expert import Expert
from dial_core.sim.scene import scene_of
from dial_core.sim.task import load_task

PICK = "pick the milk from the placemat and place it on the plate"
# seed: (named object, its x, y, yaw, body's colour; goal's x; instruction)
SCENES = {
    0: (
        "milk",
        0.40112875640559675,
        -0.053082873457633864,
        0.2486049678946055,
        (0.93, 0.94, 0.96),
        0.2171327155153436,
        "place the milk on the plate",
    ),
    1: (
        "milk",
        0.38071599901742836,
        -0.040144363001322174,
        -0.11884332977907525,
        (0.93, 0.94, 0.96),
        0.22155405187640884,
        PICK,
    ),
    7: (
        "cup",
        0.4313592250383359,
        -0.1798497791171172,
        0.707107188044112,
        (0.9, 0.8, 0.2),
        0.20510530609131147,
        "place the cup on the plate",
    ),
    100_003: (
        "milk",
        0.357825018094016,
        -0.011676315371964022,
        -0.20990890882945223,
        (0.85, 0.9, 0.97),
        0.2204317505023796,
        "place the milk on the plate",
    ),
}
# seed: (right arm [rad] after 20 control steps of the expert, mean colour of the image then)
MOTIONS = {
    0: ([0.094738, -0.123847, 0.312069, -1.573426, -0.065264, -0.084948, 0.021487], [147.931, 135.488, 125.941]),
    7: ([0.054888, -0.313309, 0.063103, -1.489934, -0.269743, 0.10937, -0.015115], [136.135, 133.69, 132.642]),
}


@pytest.mark.parametrize("seed", SCENES)
def test_a_seed_draws_the_scene_that_it_always_drew(seed):
    kind, x, y, yaw, body, goal_x, instruction = SCENES[seed]
    scene = scene_of(load_task("PlacematToPlate"), seed)
    thing = scene.objects[scene.target]
    assert (thing.type, thing.x, thing.y, thing.yaw, thing.colours["body"]) == (kind, x, y, yaw, body)
    assert (scene.goal.x, scene.instruction) == (goal_x, instruction)
    assert (scene.hand, scene.appearance, scene.distractors) == ("right", None, ())


@pytest.mark.parametrize("seed", MOTIONS)
def test_the_expert_moves_as_it_always_moved_and_the_image_is_the_same(world, seed):
    arm, colour = MOTIONS[seed]
    world.reset(seed)
    expert = Expert(world, seed)
    for _ in range(20):
        world.advance(expert.action()[world.embodiment.joint_slice].astype(float), 0.05)
    np.testing.assert_allclose(world.joint_positions()[7:14], arm, atol=1e-5)
    np.testing.assert_allclose(world.render().mean((0, 1)), colour, atol=0.05)
