"""An exponential moving average of the weights, kept beside them in float32, process by process."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dial_core.errors import DialError
from dial_core.training.health import local


class WeightAverage:
    """average <- d * average + (1 - d) * weights over what learns, with d = min(decay, (1 + step) / (10 + step)).

    The smaller d of the first steps removes the random weights that it starts at from the average.
    Sharded weights (FSDP2) are averaged shard by shard: each process keeps and stores its own part. Of whole weights all processes have
    the same average, and a checkpoint holds it once, as part 0: it resumes on any number of processes.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.values: dict[str, torch.Tensor] = {}

    @classmethod
    def stored(cls, checkpoint: Path, part: int, decay: float, model: nn.Module) -> WeightAverage:
        """The average that a checkpoint of `model` holds. Raises as `begin`."""
        average = cls(decay)
        average.begin(model, checkpoint, part)
        return average

    def begin(self, model: nn.Module, checkpoint: Path | None, part: int) -> None:
        """Starts at the weights, or at the average that `checkpoint` holds.

        Raises:
            DialError: the checkpoint lacks this part, or the weights are in a form that cannot be averaged.
        """
        learning = dict(_learning(model))
        if any(value.numel() == 0 and hasattr(value, "ds_shape") for value in learning.values()):
            raise DialError("`ema_decay` does not work with DeepSpeed ZeRO-3, which takes the weights apart; use FSDP2 or ZeRO-2")
        if checkpoint is None:
            self.values = {name: local(value.detach()).float().clone() for name, value in learning.items()}
            return
        file = checkpoint / _name(part)
        if not file.exists():
            raise DialError(
                f"{file} is missing: resume with `ema_decay` as {checkpoint.parent} was started, in shards also on as many processes"
            )
        self.values = {name: value.to(local(learning[name]).device) for name, value in load_file(file).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Updates the average with the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, alike = list[torch.Tensor](), list[torch.Tensor]()
        for name, value in _learning(model):
            weights = local(value.detach())
            if weights.dtype == self.values[name].dtype:
                averages.append(self.values[name])
                alike.append(weights)
            else:  # one float32 copy at a time
                self.values[name].lerp_(weights.float(), 1 - decay)
        if alike:  # in one operation: each would be a kernel launch
            torch._foreach_lerp_(averages, alike, 1 - decay)

    def save(self, checkpoint: Path, part: int) -> None:
        """Writes a part into a checkpoint folder."""
        save_file({name: value.cpu().contiguous() for name, value in self.values.items()}, checkpoint / _name(part))

    @torch.no_grad()
    def take_over(self, model: nn.Module) -> None:
        """The weights become their average."""
        for name, value in _learning(model):
            local(value.detach()).copy_(self.values[name])


def _learning(model: nn.Module):
    return ((name, value) for name, value in model.named_parameters() if value.requires_grad)


def _name(part: int) -> str:
    return f"average-{part:03d}.safetensors"
