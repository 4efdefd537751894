import gymnasium
import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import HOLD_STEPS
from dial_core.sim.env import HELD_STEPS  # importing it registers the ids
from dial_core.sim.expert.expert import Expert


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
    following, reward, terminated, truncated, _ = env.step(observation["state"])
    assert env.observation_space.contains(following)
    assert (reward, terminated, truncated) == (0.0, False, False)


def test_the_expert_ends_an_episode_with_success(env):
    env.reset(seed=100_001)
    expert = Expert(env.unwrapped.world, 100_001)
    terminated = truncated = False
    while not (terminated or truncated):
        _, reward, terminated, truncated, info = env.step(expert.action())
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
