"""A checkpoint in an evaluation: the policy loop on the simulated robot, and the probes of its foresight."""

from __future__ import annotations

import numpy as np
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.joint_limits import Guard
from dial_core.control.motion_plan import MotionPlan
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Arena, StepObservation, TabletopArena
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.studies.expert_future import ExpertFuture
from dial_core.inference.policy_loop import ChunkSource, ForesightSource, PolicyLoop, gate_of
from dial_core.inference.ready import dtype_of, require_device
from dial_core.inference.remote import connect
from dial_core.inference.simulated_loop import DirectPlaying, PlannedPlaying, Playing, SimulatedLoop, Timing
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.wire import SCHEME
from dial_core.observation.camera_view import fit_view
from dial_core.robot.embodiment import Embodiment


def timing_of(protocol: Protocol, embodiment: Embodiment) -> Timing:
    """The timing that a protocol asks for, on a robot."""
    step_s = 1.0 / embodiment.rate_hz
    if protocol.execution == "direct":
        steps = protocol.execute_steps, protocol.system2_period_steps
        return Timing(step_s, *steps, 0.0, protocol.system2_delay_steps * step_s, controller_period_s=step_s)
    return Timing(
        step_s=step_s,
        chunk_steps=protocol.execute_steps,
        foresight_steps=protocol.system2_period_steps,
        chunk_delay_s=protocol.system1_delay_s,
        foresight_delay_s=protocol.system2_delay_steps * step_s,
        controller_period_s=protocol.controller_period_s,
    )


def planned_playing(protocol: Protocol, embodiment: Embodiment) -> Playing:
    """Splice, limits and controllers as on the robot."""
    guard = Guard.for_embodiment(embodiment)
    plan = MotionPlan(embodiment.joint_slice, 1.0 / embodiment.rate_hz, guard, protocol.splice_lead_s, protocol.strategy)
    return PlannedPlaying(plan, EmulatedControllers(embodiment))


class DialPolicy:
    """System-2 every `system2_period_steps`, System-1 every `execute_steps`, on the loop that the nodes run, in lockstep."""

    def __init__(self, system2: ForesightSource, system1: ChunkSource, protocol: Protocol) -> None:
        require_fitting(protocol, system2.contract)
        self._system2, self._system1, self._protocol = system2, system1, protocol
        self.received_instruction = ""
        self.foresights: list[tuple[int, np.ndarray]] = []  # control step of the observation, and (N, d); oldest first
        self._step = 0
        self._simulated: SimulatedLoop | None = None
        self._future: ExpertFuture | None = None

    @property
    def foresight_age_s(self) -> float | None:
        """Mean age of the foresights that chunks were made from, at the chunk's observation [s]."""
        ages_s = self._simulated.ages_s if self._simulated else []
        return float(np.mean(ages_s)) if ages_s else None

    @property
    def needs_image(self) -> bool:
        """Whether the coming control step needs an image."""
        assert self._simulated is not None
        return self._simulated.chunk_due or self._foresight_wanted

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """Starts an episode: resets what the last one left, and reads the instruction."""
        self._system1.contract.require(arena.embodiment, self._protocol.camera)
        self.received_instruction = instruction
        wrong = self._protocol.foresight == "wrong_instruction"
        self._intent = arena.other_instruction() if wrong else instruction
        self._step, self.foresights = 0, []
        # A foresight is used however old it is: a protocol may ask for an old one on purpose.
        loop = PolicyLoop(self._system1, arena.embodiment, gate_of(self._system1.contract, np.inf))
        self._simulated = self._on_robot(loop, arena)
        self._simulated.begin(arena.set_points)
        if self._protocol.foresight == "expert_future":
            if not isinstance(arena, TabletopArena):
                raise DialError("the future that the expert would bring can be shown on our own tabletop only")
            self._future = ExpertFuture.of(arena, seed, self._system1.contract.horizon)

    def change_instruction(self, instruction: str) -> None:
        """Another instruction in mid-motion, from the coming control step on."""
        assert self._simulated is not None
        self.received_instruction = self._intent = instruction
        self._simulated.change_instruction()

    def targets(self, observation: StepObservation) -> np.ndarray:
        """Set-points (K, J) [rad] of one control step, one at the end of every controller period."""
        assert self._simulated is not None
        foresight = self._look_ahead(observation) if self._foresight_wanted else None
        view = self._system1.contract.views[0]
        set_points = self._simulated.step(foresight, lambda: (fit_view(observation.image, view),), observation.joints, observation.base)
        self._step += 1
        return set_points

    def _on_robot(self, loop: PolicyLoop, arena: Arena) -> SimulatedLoop:
        if self._protocol.execution == "direct":
            playing: Playing = DirectPlaying(arena.embodiment.joint_slice, 1.0 / arena.embodiment.rate_hz, self._protocol.strategy)
        else:
            playing = planned_playing(self._protocol, arena.embodiment)
        loop.plan = playing.plan
        return SimulatedLoop(loop, playing, timing_of(self._protocol, arena.embodiment))

    @property
    def _foresight_wanted(self) -> bool:
        assert self._simulated is not None
        frozen = self._protocol.foresight == "first_frame" and self.foresights
        return self._simulated.foresight_due and not frozen

    def _look_ahead(self, observation: StepObservation) -> np.ndarray:
        kind, view = self._protocol.foresight, self._system2.contract.views[0]
        if kind == "zeros":
            tokens = np.zeros(self._system2.contract.foresight_shape, np.float32)
        elif kind == "expert_future":
            assert self._future is not None
            tokens = self._system2.image_tokens(fit_view(self._future.frame(observation.joints), view))
        else:
            tokens = self._system2.foresight(fit_view(observation.image, view), self._intent)
        self.foresights.append((self._step, tokens))
        return tokens


def image_px_of(contract: Contract) -> int:
    """Side of the square image [px] that our tabletop renders for a checkpoint, so that nothing is enlarged for it."""
    view = contract.views[0]
    return max(view.height, view.width)


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


def open_sessions(location: str, protocol: Protocol, device: str = "cpu") -> tuple[ForesightSource, ChunkSource]:
    """Both sessions of a checkpoint folder, on `device`, or of the server at `tcp://host:port`, which has its own.

    Raises:
        DialError: no checkpoint there, no server, or no such device.
    """
    if location.startswith(SCHEME):
        if protocol.runtime != "eager":
            raise DialError(
                f"runtime {protocol.runtime} is for checkpoints on this machine; {location} computes with what it was started with"
            )
        return connect(location, protocol.flow_steps, protocol.noise_seed)
    require_device(device)
    loaded, runtime = load_checkpoint(location, dtype=dtype_of("auto", torch.device(device))), protocol.runtime
    system1 = System1Session(loaded, device, flow_steps=protocol.flow_steps, noise_seed=protocol.noise_seed, runtime=runtime)
    return System2Session(loaded, device, runtime=runtime), system1
