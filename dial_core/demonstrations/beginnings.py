"""Where an episode begins other than at the robot's home, so that a learner sees how to continue from there; nothing of it is recorded."""

import numpy as np

from dial_core.sim.expert.expert import Expert
from dial_core.sim.world import World

CHANGE_STEPS = (10, 40)  # control steps before an instruction changes: 0.5 to 2 s, at the latest before the hand closes
CHANGES, MISSES = 8, 10  # streams of a seed

# Of a miss: short of the object, on the open hand's side of it, above it [m].
SHORT_M, ASIDE_M, ABOVE_M = (0.04, 0.11), (0.02, 0.08), (0.0, 0.04)
UNNOTICED_STEPS = (0, 20)  # for how long the empty hand has lifted and carried on: up to 1 s
NUDGED_M, UPRIGHT = 0.06, 0.95  # an object that moved further or leans more than this cosine was not missed


def begin_with_the_other(world: World, seed: int) -> None:
    """Lets the expert reach for the other object of the scene for a while, as if the instruction had named it."""
    named = world.scene.target
    world.name_target(1 - named)
    expert = Expert(world, seed)
    for _ in range(np.random.default_rng([seed, CHANGES]).integers(*CHANGE_STEPS)):
        action = expert.action()
        if expert.phase not in ("approach", "reach"):
            break
        _follow(world, action)
    world.name_target(named)


def begin_beside(world: World, seed: int) -> bool:
    """Lets the expert close the hand beside the named object and continue for a moment; says whether the object still stands there."""
    rng = np.random.default_rng([seed, MISSES])
    short, aside, above = rng.uniform(*np.array([SHORT_M, ASIDE_M, ABOVE_M]).T)
    unnoticed = rng.integers(*UNNOTICED_STEPS)
    body = world.slots[world.scene.objects[world.scene.target].type].body
    before = world.data.xpos[body].copy()
    expert = Expert(world, seed, beside_m=(-short, -aside, above))
    while unnoticed >= 0:
        action = expert.action()
        unnoticed -= expert.phase in ("lift", "carry")
        _follow(world, action)
    moved = np.linalg.norm(world.data.xpos[body] - before)
    return bool(moved < NUDGED_M and world.data.xmat[body, 8] > UPRIGHT)


def _follow(world: World, action: np.ndarray) -> None:
    world.advance(action[world.embodiment.joint_slice], 1.0 / world.embodiment.rate_hz)
