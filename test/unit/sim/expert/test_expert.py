import numpy as np

from dial_core.sim.expert.expert import PERIOD_S, Expert
from dial_core.sim.suite import load_suite
from dial_core.sim.world import World


def test_the_expert_solves_unseen_scenes_of_every_object_type(world, solve):
    solved = []
    for seed in range(100_000, 100_006):
        assert solve(world, seed) <= world.task.max_steps
        solved.append(world.success())
    assert sum(solved) >= 5, solved


def test_either_object_of_a_scene_can_be_asked_for(world, solve):
    seed = next(s for s in range(100_000, 100_020) if world.reset(s) is None and len(world.scene.objects) == 2)
    for target in (0, 1):
        solve(world, seed, target)
        assert world.success(), target
        assert world.moved_objects() == [target]


def test_actions_are_whole_vectors_within_the_limits(world):
    world.reset(3)
    start = world.set_points
    expert, embodiment = Expert(world, 3), world.embodiment
    actions = []
    for _ in range(60):
        actions.append(expert.action())
        world.advance(actions[-1][embodiment.joint_slice].astype(float), 0.05)
    stacked = np.stack(actions)
    assert stacked.shape == (60, 47)
    assert stacked.dtype == np.float32
    joints = stacked[:, embodiment.joint_slice]
    assert np.all(joints >= embodiment.lower - 1e-5)
    assert np.all(joints <= embodiment.upper + 1e-5)
    steps = np.diff(np.vstack([start, joints]), axis=0)
    assert np.all(np.abs(steps) / 0.05 <= embodiment.velocity)


def test_a_disturbed_action_moves_only_the_working_arm_and_keeps_the_clean_one(world):
    world.reset(3)
    expert = Expert(world, 3)
    clean = expert.action()
    before = clean.copy()
    moved = np.flatnonzero(expert.disturb(clean) != clean)
    np.testing.assert_array_equal(clean, before)
    assert set(moved) == set(range(25, 32))


def test_the_expert_is_deterministic(world):
    def trace():
        world.reset(11)
        expert = Expert(world, 11)
        actions = []
        for _ in range(30):
            actions.append(expert.action())
            world.advance(actions[-1][18:].astype(float), 0.05)
        return np.stack(actions).tobytes()

    assert trace() == trace()


def test_a_hand_that_closes_less_than_it_was_shown_still_holds_the_object():
    """Half of the scenes failed with 0.3 rad less, which is what a learner misses at times."""
    world = World(load_suite("in_distribution").task("CuttingboardToBasket"))
    solved = []
    try:
        for seed in range(5):
            world.reset(seed)
            fingers = [index for index, joint in enumerate(world.embodiment.joints) if joint.group == f"{world.hand}_hand"][:4]
            expert = Expert(world, seed)
            for _ in range(world.task.max_steps):
                if expert.done:
                    break
                joints = expert.action()[world.embodiment.joint_slice].astype(float)
                joints[fingers] = np.maximum(joints[fingers] - 0.3, 0.0)
                world.advance(joints, PERIOD_S)
            solved.append((world.hand, world.success()))
    finally:
        world.close()
    assert solved == [("right", True), ("left", True), ("right", True), ("right", True), ("left", True)]
