"""What drives the robot in an evaluation: the two sessions in lockstep with the simulated clock, or the expert."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol as Interface

import numpy as np

from dial_core.errors import DialError
from dial_core.evaluation.protocol import Protocol
from dial_core.kinematics import ForwardKinematics
from dial_core.runtime.checkpoint import load_checkpoint
from dial_core.runtime.contract import Contract
from dial_core.runtime.motion import NANOSECONDS
from dial_core.runtime.overlap import make_overlap
from dial_core.runtime.sessions import System1Session, System2Session
from dial_core.sim.expert import Expert
from dial_core.sim.world import World


class Policy(Interface):
    """Gives joint targets at the control rate."""

    def begin(self, world: World) -> None:
        """A new episode: `world` was just reset."""

    def targets(self, world: World, image: np.ndarray) -> np.ndarray:
        """Absolute joint targets (29,) [rad] for one control step from now, given the camera's image of now."""


class ExpertPolicy:
    """The scripted expert, as an upper bound."""

    def begin(self, world: World) -> None:
        """Plans for the scene."""
        self._expert = Expert(world, world.scene.seed)

    def targets(self, world: World, image: np.ndarray) -> np.ndarray:
        """The expert's next action; it looks at the world's state and not at the image."""
        return self._expert.action()[world.embodiment.joint_slice].astype(np.float64)


class DialPolicy:
    """System-2 every `system2_period_steps`, System-1 every `execute_steps`, as the nodes run them but in lockstep."""

    def __init__(self, checkpoint: Path, protocol: Protocol) -> None:
        loaded = load_checkpoint(checkpoint)
        require_fitting(protocol, loaded.contract)
        self._system2 = System2Session(loaded)
        self._system1 = System1Session(loaded, flow_steps=protocol.flow_steps, noise_seed=protocol.noise_seed)
        self._protocol = protocol

    def begin(self, world: World) -> None:
        """Forgets the last episode and reads the instruction."""
        self._system1.contract.require(world.embodiment, self._protocol.camera)
        self._kinematics = ForwardKinematics(world.embodiment)
        self._instruction = world.instruction
        if self._protocol.foresight == "wrong_instruction":
            self._instruction = wrong_instruction(world)
        self._step = 0
        self._step_s = 1.0 / world.embodiment.rate_hz
        self._overlap = make_overlap(self._protocol.strategy, self._step_s)
        # (control step from which System-1 has it, foresight), oldest first
        self._foresights: list[tuple[int, np.ndarray]] = []

    def targets(self, world: World, image: np.ndarray) -> np.ndarray:
        """The next row of the current chunk; a new foresight and a new chunk when they are due."""
        if self._step % self._protocol.system2_period_steps == 0:
            self._look_ahead(image)
        row = self._step % self._protocol.execute_steps
        if row == 0:
            state = self._kinematics.state(world.joint_positions())
            stamp_ns = round(self._step * self._step_s * NANOSECONDS)
            # In lockstep a chunk takes over at once; what the robot does in the step that it starts with is committed.
            committed = self._overlap.committed(stamp_ns, self._step_s)
            chunk = self._system1.chunk(image, self._current_foresight(), state, committed)
            self._targets = self._overlap.targets(stamp_ns, chunk, stamp_ns)[:, world.embodiment.joint_slice]
        self._step += 1
        return self._targets[row].astype(np.float64)

    def _look_ahead(self, image: np.ndarray) -> None:
        kind = self._protocol.foresight
        if kind == "first_frame" and self._foresights:
            return
        if kind == "zeros":
            foresight = np.zeros(self._system2.contract.foresight_shape, np.float32)
        else:
            foresight = self._system2.foresight(image, self._instruction)
        # The first one of an episode is waited for; System-1 does not start without.
        delay = self._protocol.system2_delay_steps if self._foresights else 0
        self._foresights.append((self._step + delay, foresight))

    def _current_foresight(self) -> np.ndarray:
        arrived = [foresight for step, foresight in self._foresights if step <= self._step]
        return arrived[-1]


def require_fitting(protocol: Protocol, contract: Contract) -> None:
    """Checks that a chunk of the checkpoint is as long as the protocol executes.

    Raises:
        DialError: it is shorter.
    """
    if protocol.execute_steps > contract.horizon:
        raise DialError(
            f"execute_steps {protocol.execute_steps} is more than the {contract.horizon} control steps of a chunk of "
            f"checkpoint {contract.model_id}; choose 1..{contract.horizon}"
        )


def wrong_instruction(world: World) -> str:
    """The scene's instruction with another object: the other one in view, or one that is not there."""
    objects = [thing.type for thing in world.scene.objects]
    named = objects[world.scene.target]
    others = [name for name in objects if name != named] or [name for name in world.task.objects if name != named]
    return world.instruction.replace(named, others[0])


def make_policy(protocol: Protocol, checkpoint: Path | None) -> Policy:
    """The policy that a protocol asks for."""
    if protocol.policy == "expert":
        return ExpertPolicy()
    assert checkpoint is not None
    return DialPolicy(checkpoint, protocol)
