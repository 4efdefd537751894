"""One world for all tests of the simulator: it compiles once and every test resets it. And the expert, let loose on a scene."""

from collections.abc import Callable

import pytest

from dial_core.sim.expert.expert import PERIOD_S, Expert
from dial_core.sim.world import World


@pytest.fixture(scope="session")
def world():
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="session")
def solve() -> Callable[..., int]:
    """`solve(world, seed)` resets the world, lets the expert work until it is done, and gives the control steps it took."""

    def run(world: World, seed: int, target: int | None = None) -> int:
        world.reset(seed, target)
        expert = Expert(world, seed)
        steps = 0
        while not expert.done and steps < world.task.max_steps:
            world.advance(expert.action()[world.embodiment.joint_slice].astype(float), PERIOD_S)
            steps += 1
        return steps

    return run
