"""The two sessions in lockstep with the simulated clock, with the timing of the nodes, and the probes of their foresight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol as Interface

import numpy as np

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.control.motion import NANOSECONDS
from dial_core.control.overlap import Committed, make_overlap
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Arena, Observation, TabletopArena
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.studies.expert_future import ExpertFuture
from dial_core.inference.remote import SCHEME, connect
from dial_core.inference.sessions import System1Session, System2Session
from dial_core.observation.camera_view import fit_view
from dial_core.robot.kinematics import ForwardKinematics


class System2(Interface):
    """What makes foresights: a session here or on another machine."""

    contract: Contract

    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray: ...

    def image_tokens(self, image: np.ndarray) -> np.ndarray: ...


class System1(Interface):
    """What makes chunks: a session here or on another machine."""

    contract: Contract

    def chunk(self, images: np.ndarray, foresight: np.ndarray, state: np.ndarray, committed: Committed | None = None) -> np.ndarray: ...


@dataclass(frozen=True)
class TimedForesight:
    """A foresight (N, d), the control step of its observation, and the one from which System-1 has it."""

    observed: int
    arrives: int
    tokens: np.ndarray


class DialPolicy:
    """System-2 every `system2_period_steps`, System-1 every `execute_steps`, as the nodes run them but in lockstep."""

    looks = True

    def __init__(self, system2: System2, system1: System1, protocol: Protocol) -> None:
        require_fitting(protocol, system2.contract)
        self._system2, self._system1, self._protocol = system2, system1, protocol
        self.heard = ""
        self.foresights: list[TimedForesight] = []  # of the episode so far, oldest first
        self._ages_steps: list[int] = []
        self._future: ExpertFuture | None = None

    @property
    def foresight_age_s(self) -> float | None:
        """Mean age of the foresights that chunks were made from, at the chunk's observation [s]."""
        return float(np.mean(self._ages_steps)) * self._step_s if self._ages_steps else None

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """Forgets the last episode and reads the instruction."""
        self._system1.contract.require(arena.embodiment, self._protocol.camera)
        self._kinematics = ForwardKinematics(arena.embodiment)
        self._joints = arena.embodiment.joint_slice
        self.heard = instruction
        wrong = self._protocol.foresight == "wrong_instruction"
        self._intent = arena.other_instruction() if wrong else instruction
        self._step = 0
        self._step_s = 1.0 / arena.embodiment.rate_hz
        self._overlap = make_overlap(self._protocol.strategy, self._step_s)
        self.foresights, self._ages_steps = [], []
        if self._protocol.foresight == "expert_future":
            if not isinstance(arena, TabletopArena):
                raise DialError("the future that the expert would bring can be shown on our own tabletop only")
            self._future = ExpertFuture.of(arena, seed, self._system1.contract.horizon)

    def targets(self, observation: Observation) -> np.ndarray:
        """The next row of the current chunk; a new foresight and a new chunk when they are due."""
        observation = replace(observation, image=fit_view(observation.image, self._system2.contract.views[0]))
        if self._step % self._protocol.system2_period_steps == 0:
            self._look_ahead(observation)
        row = self._step % self._protocol.execute_steps
        if row == 0:
            foresight = [known for known in self.foresights if known.arrives <= self._step][-1]
            self._ages_steps.append(self._step - foresight.observed)
            state = self._kinematics.state(observation.joints)
            stamp_ns = round(self._step * self._step_s * NANOSECONDS)
            # In lockstep a chunk takes over at once; what the robot does in the step that it starts with is committed.
            committed = self._overlap.committed(stamp_ns, self._step_s)
            chunk = self._system1.chunk(observation.image, foresight.tokens, state, committed)
            self._targets = self._overlap.targets(stamp_ns, chunk, stamp_ns)[:, self._joints]
        self._step += 1
        return self._targets[row].astype(np.float64)

    def _look_ahead(self, observation: Observation) -> None:
        kind = self._protocol.foresight
        if kind == "first_frame" and self.foresights:
            return
        if kind == "zeros":
            tokens = np.zeros(self._system2.contract.foresight_shape, np.float32)
        elif kind == "expert_future":
            assert self._future is not None
            future = fit_view(self._future.frame(observation.joints), self._system2.contract.views[0])
            tokens = self._system2.image_tokens(future)
        else:
            tokens = self._system2.foresight(observation.image, self._intent)
        # The first one of an episode is waited for; System-1 does not start without.
        delay = self._protocol.system2_delay_steps if self.foresights else 0
        self.foresights.append(TimedForesight(self._step, self._step + delay, tokens))


def require_fitting(protocol: Protocol, contract: Contract) -> None:
    """Checks that a chunk of the checkpoint is as long as the protocol executes, and that one camera is enough.

    Raises:
        DialError: it is shorter, or the checkpoint sees through several cameras.
    """
    if len(contract.views) > 1:
        names = ", ".join(view.name for view in contract.views)
        raise DialError(f"checkpoint {contract.model_id} sees through {names}; evaluation has one camera a robot so far")
    if protocol.execute_steps > contract.horizon:
        raise DialError(
            f"execute_steps {protocol.execute_steps} is more than the {contract.horizon} control steps of a chunk of "
            f"checkpoint {contract.model_id}; choose 1..{contract.horizon}"
        )


def open_sessions(location: str, protocol: Protocol) -> tuple[System2, System1]:
    """Both sessions of a checkpoint folder, or of the server at `tcp://host:port`.

    Raises:
        DialError: no checkpoint there, or no server.
    """
    if location.startswith(SCHEME):
        return connect(location, protocol.flow_steps, protocol.noise_seed)
    loaded = load_checkpoint(location)
    return System2Session(loaded), System1Session(loaded, flow_steps=protocol.flow_steps, noise_seed=protocol.noise_seed)
