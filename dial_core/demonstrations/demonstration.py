"""One demonstration: the scripted expert on one scene, recorded or refused."""

from __future__ import annotations

import numpy as np

from dial_core.datasets.episodes import Episode
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.expert.expert import Expert
from dial_core.sim.world import World

# The robot must also learn to stay where it ended: this long do demonstrations continue after success (0.8 s at 20 Hz).
HOLD_STEPS = 16


def demonstrate(world: World, seed: int, disturbed: bool = False) -> tuple[Episode | None, str]:
    """The expert's episode on the scene of `seed`, or None and the phase in which it failed."""
    world.reset(seed)
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
    facts = {"task": world.task.name, "objects": objects, "target": world.scene.target, "disturbed": disturbed}
    vectors = np.asarray(states, np.float32), np.asarray(actions, np.float32)
    return Episode(np.stack(frames), *vectors, world.instruction, seed, facts), ""
