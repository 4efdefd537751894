"""System-2 at run time: image and instruction to foresight; numpy in, numpy out, checked against the checkpoint's contract.

ROS nodes and evaluation use this class and `System1Session` (`system1_session.py`). On a CPU the caller sets
`torch.set_num_threads(1)`: with the other core busy two threads are many times slower than one. On CUDA a call is one captured graph
in bfloat16, unless `capture` and `precision` say otherwise; sessions of one checkpoint share its model, and so device and precision.
Beside a TensorRT engine, which has weights of its own, the model stays where it was loaded until something needs it that is not in the
engine.
"""

import logging
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional as F

from dial_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.inference.cuda_graph import Captured, recorder_for
from dial_core.inference.first_use import computation
from dial_core.inference.programs import TENSORRT, ProgramSpec, Runtime, runtime_for
from dial_core.inference.ready import Precision, dtype_of, ready_to_infer
from dial_core.inference.session_inputs import image_tensor
from dial_core.model.prompt import Prompter
from dial_core.model.system2 import Layout

log = logging.getLogger(__name__)
PROMPT_LENGTH_UNIT = 16  # captured prompts come in multiples of this many tokens
PROMPT_LENGTHS_RECORDED = 3  # of them before the first call: instructions of up to some 30 words
Prompt = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # input_ids_BT, attention_mask_BT, positions_3BT


class System2Session:
    """Image and instruction to foresight."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        precision: Precision = "auto",
        capture: bool = True,
        runtime: Runtime = "eager",
        report: Callable[[str], None] = log.info,
    ):
        checkpoint.require_system(2)
        self.contract: Contract = checkpoint.contract
        self.device = torch.device(device)
        self.runtime = runtime_for(runtime, self.device)
        self._dtype = dtype_of(precision, self.device)
        self.model, self._model_is_ready = checkpoint.model.eval(), False
        if not self.runtime.startswith(TENSORRT):
            self._make_model_ready()
        self._prompter = Prompter.for_model(checkpoint.tokenizer, checkpoint.model.arch, self.contract.instruction_prefix)
        self._prompt: tuple[str, Prompt] | None = None
        self.captures = self.runtime == "eager" and capture and self.device.type == "cuda"
        function = self.padded_function if self.captures else self.function
        eager = Captured(function, recorder_for(self.device, self.captures))
        self._think: Callable[..., Any] = computation(self, eager, checkpoint.folder, report)
        if self.captures:
            self.record(PROMPT_LENGTHS_RECORDED)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "cpu",
        precision: Precision = "auto",
        capture: bool = True,
        runtime: Runtime = "eager",
        report: Callable[[str], None] = log.info,
    ) -> Self:
        """Loads this system's part of a checkpoint folder.

        Raises:
            DialError: the folder is incomplete, damaged or does not fit.
        """
        checkpoint = load_checkpoint(path, "system2", dtype_of(precision, torch.device(device)))
        return cls(checkpoint, device, precision, capture, runtime, report)

    def record(self, lengths: int) -> None:
        """Records the prefill for the `lengths` shortest lengths of prompts, so that no instruction has to wait for that."""
        view, rules = self.contract.views[0], self.model.arch.bridge_rules
        pixels = torch.zeros(1, view.height, view.width, 3, dtype=torch.uint8, device=self.device)
        input_ids, attention_mask = self._prompter.encode(["go"])
        for more in range(lengths):
            missing = more * PROMPT_LENGTH_UNIT, 0
            prompt = self._placed(F.pad(input_ids, missing), F.pad(attention_mask, missing))
            if not rules.shows_words or prompt[0].shape[1] <= self.model.arch.prompt_tokens:
                self._think(pixels, *prompt)

    def spec(self, runtime: Runtime) -> ProgramSpec:
        """Which exported program computes what this session does."""
        return ProgramSpec(2, runtime, self.contract.model_id, gpu=self.device.index)

    def example(self, images: tuple[np.ndarray, ...], instruction: str) -> tuple[torch.Tensor, ...]:
        """Inputs of `function`."""
        return image_tensor(images[0], self.contract.views[0], self.device), *self._encoded(instruction)

    def computing_with(self, program: Callable[..., Any]) -> Self:
        """Returns this session with another program in place of its own; both share the model."""
        other = copy(self)
        other._think = program
        return other

    def unknown_words(self, instruction: str) -> list[str]:
        """Words of an instruction that the model has never seen."""
        return self._prompter.unknown_words(instruction)

    def require_encodable(self, instruction: str) -> None:
        """Checks, without an image, that an instruction becomes a prompt. Raises DialError with the reason if not."""
        self._prompter.require_encodable(instruction)

    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray:
        """The foresight (N, d) alone; see `look`."""
        return self.look(image, instruction)[0]

    @torch.inference_mode()
    def look(self, image: np.ndarray, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        """One prefill of System-2.

        Args:
            image: uint8 (H, W, 3), RGB.
            instruction: what to do.

        Returns:
            The foresight and the tokens of the current view, in whose space it lies: float32 (N, d) each.

        Raises:
            DialError: wrong image shape or dtype, or an instruction that `require_encodable` refuses.
        """
        foresight, view = self._think(image_tensor(image, self.contract.views[0], self.device), *self._encoded(instruction))
        return foresight[0].float().cpu().numpy(), view[0].float().cpu().numpy()

    def function(self, pixels_BHWC, input_ids_BT, attention_mask_BT, positions_3BT) -> tuple[torch.Tensor, torch.Tensor]:
        """Foresight and view (1, N, d) from an image and a prompt without padding."""
        image_tokens = self.model.encode_image(pixels_BHWC)
        foresight = self.model.system2(image_tokens, input_ids_BT, attention_mask_BT, Layout(positions_3BT, None))
        return foresight, image_tokens[..., self.model.arch.view_part]

    def padded_function(self, pixels_BHWC, input_ids_BT, attention_mask_BT, positions_3BT) -> tuple[torch.Tensor, torch.Tensor]:
        """As `function`, of a prompt that is padded on the left: prompts of many lengths then share few recordings."""
        image_tokens = self.model.encode_image(pixels_BHWC)
        layout = self.model.system2.layout_at(positions_3BT, attention_mask_BT, padded=True)
        foresight = self.model.system2(image_tokens, input_ids_BT, attention_mask_BT, layout)
        return foresight, image_tokens[..., self.model.arch.view_part]

    @torch.inference_mode()
    def image_tokens(self, image: np.ndarray) -> np.ndarray:
        """Enc_ViT, what a foresight predicts: uint8 image (H, W, 3) to float32 (N, d).

        Raises:
            DialError: wrong image shape or dtype.
        """
        self._make_model_ready()
        tokens = self.model.encode_image(image_tensor(image, self.contract.views[0], self.device))
        return tokens[0, :, self.model.arch.view_part].float().cpu().numpy()

    @torch.inference_mode(False)  # parameters that are made in inference mode could not be used where System-1 needs gradients
    def _make_model_ready(self) -> None:
        """Moves and converts the model, once: at the start, or, beside an engine, when tokens of an image alone are asked for."""
        if not self._model_is_ready:
            ready_to_infer(self.model, self.device, self._dtype)
            self._model_is_ready = True

    def _encoded(self, instruction: str) -> Prompt:
        """The prompt; the last one is kept, as an instruction stays for many images."""
        if self._prompt is None or self._prompt[0] != instruction:
            input_ids, attention_mask = self._prompter.encode([instruction])
            self._prompt = instruction, self._placed(input_ids, attention_mask)
        return self._prompt[1]

    def _placed(self, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor) -> Prompt:
        """A prompt with its positions, on the device; where it is captured, padded to a multiple of `PROMPT_LENGTH_UNIT`."""
        if self.captures:
            length, rules = input_ids_BT.shape[1], self.model.arch.bridge_rules
            most = self.model.arch.prompt_tokens if rules.shows_words else length + PROMPT_LENGTH_UNIT
            missing = max(0, min(-length % PROMPT_LENGTH_UNIT, most - length)), 0
            input_ids_BT, attention_mask_BT = F.pad(input_ids_BT, missing), F.pad(attention_mask_BT, missing)
        positions = self.model.system2.run_time_layout(input_ids_BT, attention_mask_BT).positions
        return input_ids_BT.to(self.device), attention_mask_BT.to(self.device), positions.to(self.device)
