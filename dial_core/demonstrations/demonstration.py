"""One demonstration: the scripted expert on one scene, recorded or refused."""

from __future__ import annotations

import numpy as np

from dial_core.datasets.episodes import Episode
from dial_core.demonstrations.beginnings import begin_beside, begin_with_the_other
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.expert.expert import Expert
from dial_core.sim.world import World

# The robot must also learn to stay where it ended: this long do demonstrations continue after success (0.8 s at 20 Hz).
HOLD_STEPS = 16


def demonstrate(
    world: World, seed: int, disturbed: bool = False, changed: bool = False, missed: bool = False
) -> tuple[Episode | None, str]:
    """The expert's episode on the scene of `seed`, or None and the phase in which it failed.

    `disturbed`: the robot is pushed off the expert's path while the expert's own actions are recorded. `changed`: in a scene with two
    objects the hand is on its way to the other one when the episode begins, as if the instruction had just changed. `missed`: otherwise
    the hand has just closed beside the object, as if it had missed it.
    """
    world.reset(seed)
    changed = changed and len(world.scene.objects) > 1
    missed = missed and not changed
    if changed:
        begin_with_the_other(world, seed)
    if missed and not begin_beside(world, seed):
        return None, "the hand did not miss the object"
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
    facts |= {"missed": True} if missed else {}
    vectors = np.asarray(states, np.float32), np.asarray(actions, np.float32)
    return Episode(np.stack(frames), *vectors, world.instruction, seed, facts), ""
