"""The policy over time: which foresight a chunk is made from, what it must agree with, and how it joins the commanded motion.

One loop for everything that runs a policy. The node `system1` feeds it from topics and publishes what it plans; evaluation and
`dial smoothness` feed it from a simulated robot (`simulated_loop`); `dial replay chunks` feeds it from a bag and follows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dial_core.checkpoint.contract import Contract
from dial_core.control.foresight_gate import Foresight, ForesightContract, ForesightGate
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import Outlet, Sent
from dial_core.control.overlap import Committed
from dial_core.finiteness import require_finite
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.kinematics import ForwardKinematics


class ForesightSource(Protocol):
    """Interface of System-2: a session in this process or on another machine."""

    contract: Contract

    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray: ...

    def image_tokens(self, image: np.ndarray) -> np.ndarray: ...


class ChunkSource(Protocol):
    """Interface of System-1: a session in this process or on another machine."""

    contract: Contract

    def chunk(
        self,
        images: tuple[np.ndarray, ...],
        foresight: np.ndarray,
        state: np.ndarray,
        committed: Committed | None = None,
        base: np.ndarray | None = None,
    ) -> np.ndarray: ...


class ChunkPlan(Protocol):
    """Interface that turns chunks into a commanded motion; `control.motion_plan.MotionPlan` on the robot."""

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` must agree with."""

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, outlet: Outlet) -> Sent:
        """Splices a chunk (H, A) into the running motion and sends the result."""


@dataclass(frozen=True)
class ChunkInputs:
    """Inputs of a chunk at the start of its computation: its foresight, and the actions it must agree with."""

    foresight: Foresight
    committed: Committed | None


class PolicyLoop:
    """System-1 with its foresight gate and its plan. Not thread-safe, except `compute`."""

    def __init__(self, system1: ChunkSource, embodiment: Embodiment, gate: ForesightGate, plan: ChunkPlan | None = None) -> None:
        """Without a `plan` chunks are computed and nothing follows them."""
        self.gate, self.plan = gate, plan
        self._system1, self._kinematics = system1, ForwardKinematics(embodiment)

    def begin(self, stamp_ns: int) -> ChunkInputs | None:
        """Returns the inputs for the chunk of the observation at `stamp_ns`; None while there is no foresight, or only one too old."""
        foresight = self.gate.newest
        if foresight is None or stamp_ns - foresight.stamp_ns > self.gate.contract.timeout_s * NANOSECONDS:
            return None
        return ChunkInputs(foresight, self.plan.committed(stamp_ns) if self.plan else None)

    def compute(
        self, inputs: ChunkInputs, images: tuple[np.ndarray, ...], joints: np.ndarray, stamp_ns: int, base: np.ndarray | None = None
    ) -> np.ndarray:
        """The chunk (H, A) of one observation, in physical units. Touches nothing that `begin` and `follow` use.

        Args:
            images: of every camera of the contract, fitted to the model.
            joints: measured (J,) [rad].
            base: pose of the robot's base in the world (4, 4), where it is known; see `System1Session.chunk`.

        Raises:
            NotFiniteError: the model computed a value that is not finite.
        """
        chunk = self._system1.chunk(images, inputs.foresight.tokens, self._kinematics.state(joints), inputs.committed, base)
        require_finite(chunk, f"chunk of the frame at {stamp_ns / NANOSECONDS:.3f} s", advice="the whole chunk is dropped")
        return chunk

    def follow(self, chunk: np.ndarray, stamp_ns: int, joints: np.ndarray, outlet: Outlet) -> Sent:
        """Switches to a chunk, see `MotionPlan.follow`; nothing is sent if that raises."""
        assert self.plan is not None, "this loop computes chunks only"
        return self.plan.follow(chunk, stamp_ns, joints, outlet)


def gate_of(contract: Contract, timeout_s: float) -> ForesightGate:
    """The gate for foresights of a checkpoint's own System-2, at most `timeout_s` old [s]."""
    return ForesightGate(ForesightContract(contract.model_id, contract.foresight_shape, timeout_s))
