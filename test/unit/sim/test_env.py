import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import HOLD_STEPS
from dial_core.sim.env import HELD_STEPS  # importing it registers the ids
from dial_core.sim.expert.expert import Expert
from dial_core.sim.scene import scene_of
from dial_core.sim.suite import load_suite
from dial_core.sim.task import load_task


@pytest.fixture(scope="module")
def env():
    env = gymnasium.make("dial/PlacematToPlate-v0")
    yield env
    env.close()


def test_observations_and_actions_are_as_declared(env):
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert observation["images"]["ego"].shape == (96, 96, 3)
    assert observation["state"].shape == (47,)
    assert info["success"] is False
    assert info["instruction"] == observation["instruction"]
    following, reward, terminated, truncated, info = env.step(observation["state"])
    assert info["instruction"] == following["instruction"]
    assert env.observation_space.contains(following)
    assert (reward, terminated, truncated) == (0.0, False, False)


def test_the_expert_ends_an_episode_with_success(env):
    env.reset(seed=100_001)
    expert = Expert(env.unwrapped.world, 100_001)
    terminated = truncated = False
    while not (terminated or truncated):
        action = expert.action()
        np.testing.assert_allclose(action, np.clip(action, env.action_space.low, env.action_space.high), atol=1e-6)
        _, reward, terminated, truncated, info = env.step(action)
    assert terminated
    assert reward == 1.0
    assert info["success"]
    assert info["moved"] == [info["target"]]


def test_an_episode_ends_with_what_an_evaluation_counts():
    assert HELD_STEPS == HOLD_STEPS


def test_the_instruction_can_be_overridden(env):
    instructions = {env.reset(seed=2, options={"target": target})[0]["instruction"] for target in (0, 1)}
    assert len(instructions) == 2


def test_wrong_actions_and_options_are_refused(env):
    env.reset(seed=0)
    with pytest.raises(DialError, match="finite"):
        env.step(np.full(47, np.nan, dtype=np.float32))
    with pytest.raises(DialError, match="known: target"):
        env.reset(seed=0, options={"colour": 1})


@pytest.mark.parametrize("task", [None, "CuttingboardToBowl"], ids=["an id", "an environment of a suite"])
@pytest.mark.filterwarnings("error", "ignore:.*(symmetric and normalized space|is -?infinity)")  # advice: these are metres and radians
def test_gymnasiums_checker_accepts(task):
    options = {"task": load_suite("unseen_combination").task(task)} if task else {}
    env = gymnasium.make("dial/PlacematToPlate-v0", image_size=32, render_mode="rgb_array", **options)
    check_env(env.unwrapped)
    assert env.unwrapped.world.task.name == (task or "PlacematToPlate")
    env.close()


def test_actions_are_bounded_by_the_joints_limits_and_mean_the_same_beyond_them(env):
    embodiment, space = env.unwrapped.world.embodiment, env.action_space
    assert space.is_bounded()
    np.testing.assert_allclose(space.low[embodiment.joint_slice], embodiment.lower, rtol=1e-6)
    np.testing.assert_allclose(space.high[embodiment.joint_slice], embodiment.upper, rtol=1e-6)
    assert not env.observation_space["state"].is_bounded("both")
    reached = []
    for wrists, joints in ((0.0, space.high[embodiment.joint_slice]), (100.0, np.full(29, 100.0))):
        env.reset(seed=3)
        env.step(np.concatenate([np.full(18, wrists), joints]).astype(np.float32))
        reached.append(env.unwrapped.world.joint_positions())
    np.testing.assert_allclose(*reached, atol=1e-5)


@pytest.mark.parametrize("shared_memory", [True, False])
def test_environments_in_processes_report_their_instructions(shared_memory):
    given = {"context": "spawn", "shared_memory": shared_memory}
    envs = gymnasium.make_vec("dial/PlacematToPlate-v0", num_envs=2, vectorization_mode="async", vector_kwargs=given, image_size=32)
    wanted = [scene_of(load_task("PlacematToPlate"), seed).instruction for seed in (1, 2)]
    assert wanted[0] != wanted[1]
    try:
        for observation, info in (envs.reset(seed=[1, 2]), envs.step(envs.action_space.sample())[::4]):
            assert list(info["instruction"]) == wanted
            assert shared_memory or list(observation["instruction"]) == wanted
    finally:
        envs.close()
