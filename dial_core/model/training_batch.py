"""What a training step takes, field by field: a sample, and the batch that samples are joined to. Documented here and nowhere else.

Dimensions:
    B: foresights of the batch; 1 in a sample.
    C: action chunks, R for each foresight; rows R b .. R b + R - 1 share foresight b, as at run time.
    G: draws of the flow, a multiple of C; those of one chunk follow one another.
    N: image tokens of a view. F: features of a token, the width D but for some backbones and bridges.
    T: prompt tokens, left padded.
    S: state width. H: horizon [control steps]. A: action width.
    V: further cameras.

A view is image tokens (..., N, F), or uint8 pixels (..., height, width, 3), which the model encodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypedDict, get_type_hints

import torch
from torch import Tensor

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture


class RequiredColumns(TypedDict):
    """The columns of every sample and batch."""

    image_tokens: Annotated[Tensor, "B N F"]  # Enc_ViT(o_t): the view of System-2
    goal_tokens: Annotated[Tensor, "B N F"]  # Enc_ViT(o_{t+H})
    input_ids: Annotated[Tensor, "B T"]
    attention_mask: Annotated[Tensor, "B T"]  # 1 at real tokens
    state: Annotated[Tensor, "C S"]  # normalised
    action: Annotated[Tensor, "C H A"]  # normalised
    action_mask: Annotated[Tensor, "C H A"]  # 1 where an element counts in the loss


class OptionalColumns(TypedDict, total=False):
    """The columns that a sample may have too."""

    system1_image_tokens: Annotated[Tensor, "C N F"]  # the views of System-1, where they are newer than `image_tokens`
    further_image_tokens: Annotated[Tensor, "C V N F"]  # of the further cameras, which System-1 alone sees
    noise: Annotated[Tensor, "G H A"]  # eps of the flow; the model draws it where it is absent, once for each chunk
    tau: Annotated[Tensor, "G"]  # time of the flow in [0, 1]; the model draws it where it is absent


class TrainingSample(RequiredColumns, OptionalColumns):
    """One foresight and the chunks that it serves (B = 1).

    `stage`: `warmup` (System-1 sees the true goal) or `end_to_end` (System-1 sees the foresight). `embodiment_id`: its slot.
    """

    stage: str
    embodiment_id: int


class _Counted(TypedDict, total=False):
    action_elements: Tensor
    positions: Tensor
    padded: bool


class TrainingBatch(RequiredColumns, OptionalColumns, _Counted):
    """The keywords of `DialModel.forward`.

    `stage` as in a sample. `embodiment_id`: one slot for the whole batch, which is faster, or one for each chunk, (C,).
    `action_elements`: scalar, the number of elements that the action loss is the mean of, where that is not this batch's own count:
    with several processes or micro-batches every element of the whole batch weighs the same. `positions`: rotary positions
    (3, B, T + queries) of prompts and queries, and `padded`: whether any prompt is padded; the collator computes both, because the
    model would have to wait for the device.
    """

    stage: str
    embodiment_id: int | Tensor


_DIMENSIONS: dict[str, list[str]] = {
    name: hint.__metadata__[0].split()
    for columns in (RequiredColumns, OptionalColumns)
    for name, hint in get_type_hints(columns, include_extras=True).items()
}


def require_shapes(batch: Mapping[str, object], arch: Architecture) -> None:
    """Checks the columns of a sample or batch against each other and against the model's sizes.

    Raises:
        DialError: a column is missing or has another shape; the message names it, its shape and the expected one.
    """
    if missing := sorted(RequiredColumns.__required_keys__ - set(batch)):
        raise DialError(f"training batch: {', '.join(missing)} missing; its columns are those of `TrainingBatch` (model/training_batch.py)")
    sizes = {"N": arch.foresight_tokens, "F": arch.feature_width, "S": arch.state_dim, "H": arch.horizon, "A": arch.action_dim}
    for name, letters in _DIMENSIONS.items():
        column = batch.get(name)
        if not isinstance(column, Tensor):
            continue
        pixels = column.dtype == torch.uint8
        for letter, size in zip(letters, column.shape, strict=False):
            sizes.setdefault(letter, size)  # B, C, G, T and V are those of the first column that has them
        expected = [sizes.get(letter, 0) for letter in letters]
        if pixels:
            expected[-2:] = [arch.image.height, arch.image.width, 3]
        if list(column.shape) != expected:
            shown = f"({', '.join(letters)}) = {tuple(expected)}" if not pixels else f"{tuple(expected)} for pixels"
            raise DialError(f"training batch: {name} has shape {tuple(column.shape)}, expected {shown}")
    if sizes["C"] % sizes["B"]:
        raise DialError(f"training batch: {sizes['C']} chunks cannot be divided among {sizes['B']} foresights")
    if sizes.get("G", 0) % sizes["C"]:
        raise DialError(f"training batch: {sizes['G']} draws of noise cannot be divided among {sizes['C']} chunks")
