"""One world for all tests of the simulator: it compiles once and every test resets it."""

import pytest

from dial_core.sim.world import World


@pytest.fixture(scope="session")
def world():
    world = World()
    yield world
    world.close()
