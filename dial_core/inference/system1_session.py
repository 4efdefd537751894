"""System-1 at run time: images, foresight and state to an action chunk; see `system2_session.py` for what both have in common."""

import logging
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from dial_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference.cuda_graph import Captured, recorder_for
from dial_core.inference.first_use import computation
from dial_core.inference.programs import TENSORRT, ProgramSpec, Runtime, runtime_for
from dial_core.inference.ready import Precision, dtype_of, ready_to_infer
from dial_core.inference.session_inputs import finite_array, image_tensor
from dial_core.model.flow_matching import NO_NOISE, initial_noise
from dial_core.model.inpainting import sample_chunk_onto
from dial_core.model.system1 import Schedule

log = logging.getLogger(__name__)


class System1Session:
    """Image, foresight and state to an action chunk."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        flow_steps: int = 4,
        noise_seed: int = NO_NOISE,
        slot: int | None = None,
        precision: Precision = "auto",
        capture: bool = True,
        runtime: Runtime = "eager",
        report: Callable[[str], None] = log.info,
    ):
        if flow_steps < 1:
            raise DialError(f"flow_steps must be at least 1, got {flow_steps}")
        checkpoint.require_system(1)
        self.contract: Contract = checkpoint.contract
        self.device = torch.device(device)
        self.runtime = runtime_for(runtime, self.device)
        self.flow_steps, self.noise_seed = flow_steps, noise_seed
        self.slot = checkpoint.contract.slot if slot is None else slot
        self._dtype = dtype_of(precision, self.device)
        self.model = checkpoint.model.eval()
        self._schedule: Schedule = []
        self._rim = checkpoint.rim
        # One noise for the life of the session: chunks of successive observations then differ by what was seen only.
        self._noise = initial_noise(noise_seed, (1, self.contract.horizon, checkpoint.model.arch.action_dim))
        if not self.runtime.startswith(TENSORRT):
            self._make_model_ready()
        recorder = recorder_for(self.device, capture and self.runtime == "eager")
        self._act = computation(self, Captured(self.function, recorder), checkpoint.folder, report)
        self._see = Captured(self._condition, recorder)  # for chunks that agree with committed actions

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "cpu",
        flow_steps: int = 4,
        noise_seed: int = NO_NOISE,
        precision: Precision = "auto",
        capture: bool = True,
        runtime: Runtime = "eager",
        report: Callable[[str], None] = log.info,
    ) -> Self:
        """Loads this system's part of a checkpoint folder.

        Raises:
            DialError: the folder is incomplete, damaged or does not fit.
        """
        checkpoint = load_checkpoint(path, "system1", dtype_of(precision, torch.device(device)))
        return cls(checkpoint, device, flow_steps, noise_seed, None, precision, capture, runtime, report)

    def spec(self, runtime: Runtime) -> ProgramSpec:
        """Which exported program computes what this session does."""
        cameras, sampling = len(self.contract.views), (self.flow_steps, self.noise_seed, self.slot)
        return ProgramSpec(1, runtime, self.contract.model_id, cameras, *sampling, gpu=self.device.index)

    def example(self, images: tuple[np.ndarray, ...], instruction: str = "") -> tuple[torch.Tensor, ...]:
        """Inputs of `function`; foresight and state are zeros."""
        shapes = self.contract.foresight_shape, (self.model.arch.state_dim,)
        return *(self._vector(np.zeros(shape, np.float32)) for shape in shapes), *self._views(images)

    def computing_with(self, program: Callable[..., Any]) -> Self:
        """Returns this session with another program in place of its own; both share the model."""
        other = copy(self)
        other._act = program
        return other

    def chunk(
        self,
        images: np.ndarray | tuple[np.ndarray, ...],
        foresight: np.ndarray,
        state: np.ndarray,
        committed: Committed | None = None,
        base: np.ndarray | None = None,
    ) -> np.ndarray:
        """One ViT pass a camera, one fusion pass, `flow_steps` Euler steps of the decoder.

        Args:
            images: uint8 (H, W, 3), RGB; or one of every camera of the contract, in its order.
            foresight: (N, d), from the System-2 of the same checkpoint.
            state: (S,), physical units (m, rad).
            committed: actions that the chunk must agree with (real-time chunking); None leaves it free.
            base: pose of the robot's base in the world (4, 4), for a checkpoint whose wrists stand there; see `VectorLayout`.

        Returns:
            float32 (horizon, A) absolute targets in physical units; row k is to be reached (k + 1) / rate_hz after
            the observation.

        Raises:
            DialError: wrong shapes or dtypes, values that are not finite, or not as many images as the contract has cameras.
        """
        views = self._views(images if isinstance(images, tuple) else (images,))
        encoded = self._rim.encode_state(finite_array("state", state, (self.contract.state_dim,)), base)
        foresight = finite_array("foresight", foresight, self.contract.foresight_shape)
        inputs = (self._vector(foresight), self._vector(encoded), *views)
        chunk = self._act(*inputs)[0] if committed is None else self._led_chunk(committed, base, *inputs)
        return self._rim.decode_action(chunk[0].cpu().numpy(), base)

    def function(self, foresight_BND, state_BS, *views_BHWC) -> tuple[torch.Tensor, ...]:
        """Normalised chunk (1, H, A), alone in a tuple as every program returns one."""
        fused_BMD, state_BS = self._condition(foresight_BND, state_BS, *views_BHWC)
        return (self.model.sample_chunk(fused_BMD, state_BS, self._noise, embodiment_id=self.slot, schedule=self._schedule),)

    @torch.no_grad()
    def _led_chunk(self, committed: Committed, base: np.ndarray | None, *inputs: torch.Tensor) -> torch.Tensor:
        """Normalised chunk (1, H, A) that agrees with committed actions. Vision and fusion are captured, its steps need gradients."""
        self._make_model_ready()
        horizon, width = self.contract.horizon, self.contract.action_dim
        actions = finite_array("committed actions", committed.actions, (horizon, width))
        weights = finite_array("committed weights", committed.weights, (horizon,))
        onto = self._vector(self._rim.encode_action(actions, base)), self._vector(weights)[0]
        fused_BMD, state_BS = (tensor.clone() for tensor in self._see(*inputs))  # of inference mode, which has no gradients
        return sample_chunk_onto(self.model.system1, fused_BMD, state_BS, self._noise, self._schedule, self.slot, *onto)

    @torch.inference_mode(False)  # for inpainting, which needs gradients
    def _make_model_ready(self) -> None:
        """Moves and converts the model, once: at the start, or, beside an engine, when a chunk must agree with committed actions."""
        if not self._schedule:
            ready_to_infer(self.model, self.device, self._dtype)
            self._noise = self._noise.to(self.device)
            self._schedule = self.model.system1.schedule(self.flow_steps, self.slot)

    def _condition(self, foresight_BND, state_BS, *views_BHWC) -> tuple[torch.Tensor, torch.Tensor]:
        """The fused condition and the state, in the model's dtype."""
        views = [self.model.encode_image(view) for view in views_BHWC]
        return self.model.condition(foresight_BND.to(self._dtype), *views), state_BS.to(self._dtype)

    def _vector(self, values: np.ndarray) -> torch.Tensor:
        """float32 on the device, as a batch of one."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)[None]

    def _views(self, images: tuple[np.ndarray, ...]) -> list[torch.Tensor]:
        """Pixels (1, H, W, 3) of every camera."""
        cameras = self.contract.views
        if len(images) != len(cameras):
            names = ", ".join(view.name for view in cameras)
            raise DialError(f"checkpoint {self.contract.model_id} sees {len(cameras)} cameras ({names}), got {len(images)} images")
        return [image_tensor(image, view, self.device) for image, view in zip(images, cameras, strict=True)]
