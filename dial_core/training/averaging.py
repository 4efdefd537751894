"""An exponential moving average of the weights, kept beside them in float32, process by process."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dial_core.errors import DialError
from dial_core.training.health import local


class WeightAverage:
    """average <- decay * average + (1 - decay) * weights, over what learns.

    Sharded weights (FSDP2) are averaged shard by shard: each process keeps and stores its own part.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.values: dict[str, torch.Tensor] = {}

    def begin(self, model: nn.Module, checkpoint: Path | None, rank: int) -> None:
        """Starts at the weights, or at the average that `checkpoint` holds.

        Raises:
            DialError: the checkpoint has none for this process, or the weights are in a form that cannot be averaged.
        """
        learning = dict(_learning(model))
        if any(value.numel() == 0 and hasattr(value, "ds_shape") for value in learning.values()):
            raise DialError("`ema_decay` does not work with DeepSpeed ZeRO-3, which takes the weights apart; use FSDP2 or ZeRO-2")
        if checkpoint is None:
            self.values = {name: local(value.detach()).float().clone() for name, value in learning.items()}
            return
        file = checkpoint / _name(rank)
        if not file.exists():
            raise DialError(
                f"{file} is missing: resume with `ema_decay` and the number of processes that {checkpoint.parent} was begun with"
            )
        self.values = {name: value.to(local(learning[name]).device) for name, value in load_file(file).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes one step towards the weights."""
        for name, value in _learning(model):
            self.values[name].lerp_(local(value.detach()).float(), 1 - self.decay)

    def save(self, checkpoint: Path, rank: int) -> None:
        """Writes this process's part into a checkpoint folder."""
        save_file({name: value.cpu().contiguous() for name, value in self.values.items()}, checkpoint / _name(rank))

    @torch.no_grad()
    def take_over(self, model: nn.Module) -> None:
        """The weights become their average."""
        for name, value in _learning(model):
            local(value.detach()).copy_(self.values[name])


def _learning(model: nn.Module):
    return ((name, value) for name, value in model.named_parameters() if value.requires_grad)


def _name(rank: int) -> str:
    return f"average-{rank:03d}.safetensors"
