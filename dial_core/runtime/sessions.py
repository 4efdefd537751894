"""The two halves of the policy at run time: numpy in, numpy out, checked against the checkpoint's contract.

The ROS nodes and the evaluation use these same two classes. On a CPU the caller sets `torch.set_num_threads(1)`: with
the other core busy two threads are many times slower than one.
"""

from pathlib import Path
from typing import Self

import numpy as np
import torch

from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.prompt import Prompter
from dial_core.runtime.checkpoint import Checkpoint, load_checkpoint
from dial_core.runtime.contract import Contract


class System2Session:
    """Image and instruction to foresight."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu"):
        self.contract: Contract = checkpoint.contract
        self.device = torch.device(device)
        self._model = _on_device(checkpoint.model, self.device)
        self._prompter = Prompter(checkpoint.tokenizer, checkpoint.model.arch.foresight_tokens)
        self._prompt: tuple[str, torch.Tensor, torch.Tensor] | None = None

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu") -> Self:
        """Loads a checkpoint folder.

        Raises:
            DialError: the folder is incomplete, damaged or does not fit.
        """
        return cls(load_checkpoint(path), device)

    def unknown_words(self, instruction: str) -> list[str]:
        """Words of an instruction that the model has never seen."""
        return self._prompter.unknown_words(instruction)

    @torch.inference_mode()
    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray:
        """One prefill of System-2.

        Args:
            image: uint8 (H, W, 3), RGB.
            instruction: what to do.

        Returns:
            float32 (N, d).

        Raises:
            DialError: wrong image shape or dtype, or an empty instruction.
        """
        image_tokens = self._model.encode_image(_image_tensor(image, self.contract, self.device))
        input_ids, attention_mask = self._encoded(instruction)
        foresight = self._model.system2(image_tokens, input_ids, attention_mask)
        return foresight[0].float().cpu().numpy()

    def _encoded(self, instruction: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompt; the last one is kept, as an instruction stays for many images."""
        if self._prompt is None or self._prompt[0] != instruction:
            input_ids, attention_mask = self._prompter.encode([instruction])
            self._prompt = (instruction, input_ids.to(self.device), attention_mask.to(self.device))
        return self._prompt[1:]


class System1Session:
    """Image, foresight and state to an action chunk."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu", flow_steps: int = 4, noise_seed: int = 0, slot: int = 0):
        if flow_steps < 1:
            raise DialError(f"flow_steps must be at least 1, got {flow_steps}")
        self.contract: Contract = checkpoint.contract
        self.device = torch.device(device)
        self.flow_steps, self.slot = flow_steps, slot
        self._model = _on_device(checkpoint.model, self.device)
        self._normaliser = checkpoint.normaliser
        # One noise for the life of the session: chunks of successive observations then differ by what was seen only.
        noise = np.random.default_rng(noise_seed).standard_normal((1, self.contract.horizon, self.contract.action_dim))
        self._noise = torch.tensor(noise, dtype=torch.float32, device=self.device)

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu", flow_steps: int = 4, noise_seed: int = 0) -> Self:
        """Loads a checkpoint folder.

        Raises:
            DialError: the folder is incomplete, damaged or does not fit.
        """
        return cls(load_checkpoint(path), device, flow_steps, noise_seed)

    @torch.inference_mode()
    def chunk(self, image: np.ndarray, foresight: np.ndarray, state: np.ndarray) -> np.ndarray:
        """One ViT pass, one fusion pass, `flow_steps` Euler steps of the decoder.

        Args:
            image: uint8 (H, W, 3), RGB.
            foresight: (N, d), from the System-2 of the same checkpoint.
            state: (S,), physical units (m, rad).

        Returns:
            float32 (horizon, A) absolute targets in physical units; row k is to be reached (k + 1) / rate_hz after
            the observation.

        Raises:
            DialError: wrong shapes or dtypes, or values that are not finite.
        """
        pixels = _image_tensor(image, self.contract, self.device)
        state = _finite("state", state, (self.contract.state_dim,))
        foresight = _finite("foresight", foresight, self.contract.foresight_shape)
        encoded = torch.from_numpy(self._normaliser.encode_state(state)).to(self.device)[None]
        fused = self._model.condition(torch.tensor(foresight, device=self.device)[None], self._model.encode_image(pixels))
        chunk = self._model.sample_chunk(fused, encoded, self._noise, self.flow_steps, self.slot)
        return self._normaliser.decode_action(chunk[0].float().cpu().numpy())


def _image_tensor(image: np.ndarray, contract: Contract, device: torch.device) -> torch.Tensor:
    """(1, H, W, 3) uint8 on the device."""
    expected = (contract.height, contract.width, 3)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != expected:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DialError(f"image of camera '{contract.camera}': expected uint8 {expected}, got {got}")
    # A copy: messages give read-only memory, which torch does not take.
    return torch.tensor(image, device=device)[None]


def _finite(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """float32 array of the expected shape."""
    values = np.asarray(values, np.float32)
    if values.shape != tuple(shape):
        raise DialError(f"{name}: expected shape {tuple(shape)}, got {values.shape}")
    if not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DialError(f"{name}: expected finite values, got {values[tuple(bad)]} at {bad}")
    return values


def _on_device(model: DialModel, device: torch.device) -> DialModel:
    """The model on the device, ready to infer."""
    torch.nn.Module.to(model, device)
    return model.eval()
