"""One demonstration: the scripted expert on one scene, recorded or refused."""

from __future__ import annotations

import numpy as np

from dial_core.datasets.episodes import Episode
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.expert.expert import Expert
from dial_core.sim.world import World

# The robot must also learn to stay where it ended: this long do demonstrations continue after success (0.8 s at 20 Hz).
HOLD_STEPS = 16
CHANGE_STEPS = (10, 40)  # control steps before an instruction changes: 0.5 to 2 s, at the latest before the hand closes
CHANGES = 8  # stream of a seed


def demonstrate(world: World, seed: int, disturbed: bool = False, changed: bool = False) -> tuple[Episode | None, str]:
    """The expert's episode on the scene of `seed`, or None and the phase in which it failed.

    `disturbed`: the robot is pushed off the expert's path while the expert's own actions are recorded. `changed`: in a scene with two
    objects the hand is on its way to the other one when the episode begins, as if the instruction had just changed.
    """
    world.reset(seed)
    changed = changed and len(world.scene.objects) > 1
    if changed:
        _begin_with_the_other(world, seed)
    expert = Expert(world, seed)
    kinematics = ForwardKinematics(world.embodiment)
    frames, states, actions = [], [], []
    held = 0
    for _ in range(world.task.max_steps):
        frames.append(world.render())
        states.append(kinematics.state(world.joint_positions()))
        actions.append(expert.action())
        phase = expert.phase
        executed = expert.disturb(actions[-1]) if disturbed else actions[-1]
        world.advance(executed[world.embodiment.joint_slice], 1.0 / world.embodiment.rate_hz)
        held = held + 1 if world.success() else 0
        if expert.done and held >= HOLD_STEPS:
            break
        if expert.done and held == 0:
            return None, f"the object was not in place at the end (phase {phase})"
    if held < HOLD_STEPS:
        return None, f"out of time in phase {phase}"
    objects = [thing.type for thing in world.scene.objects]
    facts = {"task": world.task.name, "objects": objects, "target": world.scene.target, "disturbed": disturbed, "changed": changed}
    vectors = np.asarray(states, np.float32), np.asarray(actions, np.float32)
    return Episode(np.stack(frames), *vectors, world.instruction, seed, facts), ""


def _begin_with_the_other(world: World, seed: int) -> None:
    """Lets the expert reach for the other object of the scene for a while; nothing is recorded."""
    named = world.scene.target
    world.name_target(1 - named)
    expert = Expert(world, seed)
    for _ in range(np.random.default_rng([seed, CHANGES]).integers(*CHANGE_STEPS)):
        action = expert.action()
        if expert.phase not in ("approach", "reach"):
            break
        world.advance(action[world.embodiment.joint_slice], 1.0 / world.embodiment.rate_hz)
    world.name_target(named)
