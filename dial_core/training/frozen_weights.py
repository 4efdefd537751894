"""Frozen weights in bfloat16 where that loses no bit: half their memory, and the same results.

Autocast rounds the weights of products to bfloat16 in every step; of a weight that bfloat16 represents exactly it changes nothing, and
the backbones are published in bfloat16. Frozen weights that rounding would change (a tiny model's, pretrained in float32) stay as they
are: the frozen tower also makes the target of L_world, and a checkpoint must hold the frozen weights that training began with.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from dial_core.checkpoint.stored_weights import is_exact

_HELD = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.Embedding)
"""Modules of which weights are held in bfloat16. Norms stay float32: their dtype is that of the hidden states."""


class FrozenWeights:
    """The frozen weights of a model while it trains in bfloat16; `restored` gives them back to the last bit."""

    def __init__(self, model: nn.Module) -> None:
        """Brings those that allow it to bfloat16, in place."""
        self.held: set[str] = set()
        self._originals: dict[str, Tensor] = {}
        owners = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, _HELD)}
        rounded_by_engine = os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"  # which brings every weight to bfloat16
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or parameter.dtype != torch.float32 or parameter.is_meta:
                continue
            if name in owners and is_exact(parameter.data, torch.bfloat16):
                self.held.add(name)
                parameter.data = parameter.data.bfloat16()
            elif rounded_by_engine:
                self._originals[name] = parameter.data

    def restored(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Trained weights, on the CPU, with the frozen ones as they were before training."""
        weights = weights | {name: weights[name].float() for name in self.held & weights.keys()}
        return weights | {name: value for name, value in self._originals.items() if name in weights}

    def release(self, model: nn.Module) -> None:
        """Brings the frozen weights of a model that training left whole to float32 again."""
        for name, parameter in model.named_parameters():
            if name in self.held:
                parameter.data = parameter.data.float()
