"""Joins samples to a batch: trims the prompts, and computes on the host what the model would have to wait for the device for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from dial_core.model.configuration import Architecture
from dial_core.model.positions import image_text_positions
from dial_core.model.prompt import IGNORED, Prompter
from dial_core.model.training_batch import TrainingBatch, TrainingSample, require_shapes
from dial_core.training.samples import join_samples

LENGTH_UNIT = 8  # prompts come in multiples of this many tokens: few shapes to compile, and even sizes for tensor cores


class ChunkCollator:
    """Joins samples of `ChunkSamples` to the batch that `DialModel.forward` takes."""

    def __init__(self, arch: Architecture) -> None:
        self.arch = arch
        self.queries = arch.foresight_tokens if arch.bridge_rules.predicts else 0

    def __call__(self, samples: list[TrainingSample]) -> TrainingBatch:
        """The batch with the `positions` of its prompts and whether any is `padded`.

        Raises:
            DialError: a column has another shape than the model expects.
        """
        batch = join_samples(samples)
        require_shapes(batch, self.arch)
        ids, mask = trimmed(batch["input_ids"], batch["attention_mask"])
        positions = self.positions(ids, mask)
        return {**batch, "input_ids": ids, "attention_mask": mask, "positions": positions, "padded": not bool(mask.all())}

    def positions(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Rotary positions (3, B, T + N) of prompts and the queries after them."""
        at_image = self.arch.query_positions == "image"
        return image_text_positions(ids_BT, mask_BT, self.arch.tokens.image, self.arch.token_grid, self.queries, at_image)


def answer_rows(prompter: Prompter, prompts: Sequence[str], answers: Sequence[str]) -> dict[str, Tensor]:
    """Token rows int64 (B, T) of prompts with their answers, with mask and labels; T in few lengths, as each may be compiled for itself."""
    ids_BT, mask_BT, labels_BT = prompter.encode_answers(list(prompts), list(answers))
    missing = -ids_BT.shape[1] % LENGTH_UNIT
    ids_BT, mask_BT = (pad(rows, (missing, 0)) for rows in (ids_BT, mask_BT))
    return {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": pad(labels_BT, (missing, 0), value=IGNORED)}


def trimmed(ids_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Left-padded prompts without the padding that all of them have, but for what makes their length a multiple of `LENGTH_UNIT`."""
    longest = mask_BT.shape[1] - int(mask_BT.any(0).int().argmax())
    length = -(-longest // LENGTH_UNIT) * LENGTH_UNIT
    missing = length - mask_BT.shape[1]
    if missing > 0:
        ids_BT, mask_BT = (torch.nn.functional.pad(rows, (missing, 0)) for rows in (ids_BT, mask_BT))
    return ids_BT[:, -length:], mask_BT[:, -length:]
