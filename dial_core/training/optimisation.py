"""What one run optimises (`Optimisation`, part of a recipe) and what the machine makes of it (`Hardware`, of a call)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from torch import nn

from dial_core.config import Config
from dial_core.errors import DialError

Momentum = Annotated[float, Field(ge=0, lt=1)]
CHANGES_NO_WEIGHT = ("spike_factor", "save_period_s", "keep_checkpoints", "keep_every_steps", "log_period_steps")  # of `Optimisation`


class Optimisation(Config):
    """How one run optimises, on whatever machine. Defaults: the released recipe (model.md, "Loss and stages").

    `batch_size` is that of the whole machine park: the same recipe means the same run on one GPU and on 64.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)  # samples a step, over all processes and micro-batches
    optimiser: Literal["adamw", "muon"] = "adamw"  # muon: the matrices of linear layers by Muon, the rest by AdamW (`optimisers.py`)
    learning_rate: float = Field(gt=0)
    learning_rates: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict
    )  # by prefix of the parameters' names; the longest wins
    muon_rate_factor: float = Field(default=15.0, gt=0)  # rate of a matrix that Muon steps, in terms of its module's
    weight_decay: float = Field(default=1e-5, ge=0)
    betas: tuple[Momentum, Momentum] = (0.95, 0.999)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    bf16: bool = False  # forward and backward in bfloat16; weights, moments and the average stay float32
    gradient_checkpointing: bool = False  # recompute the language model's activations in the backward pass
    ema_decay: float | None = Field(default=None, gt=0, lt=1)  # of an average of the weights, which the stage then ends with
    spike_factor: float = Field(default=10.0, gt=1)  # a loss above this times the median of the last 100 stops the run
    save_period_s: float = Field(default=180.0, gt=0)
    keep_checkpoints: int = Field(default=1, gt=0)  # of the newest
    keep_every_steps: int | None = Field(default=None, gt=0)  # checkpoints at multiples of this are never pruned
    log_period_steps: int = Field(default=20, gt=0)
    seed: int = 0

    def rate_factor(self, step: int) -> float:
        """Factor on the learning rates at `step`: linear over the first `warmup_fraction`, then half a cosine to 0."""
        warmup = max(1, round(self.warmup_fraction * self.steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, self.steps - warmup))))

    def parameter_groups(self, model: nn.Module) -> list[dict]:
        """The trainable parameters of `model`, grouped by optimiser, learning rate and weight decay, as torch's optimisers take them.

        Norms and biases do not decay. `by_muon` marks the groups of matrices that Muon steps: the weights of `nn.Linear`. What stands at
        the model's rim (tables, a slot's encoders and head) and vectors are AdamW's.

        Raises:
            DialError: a prefix in `learning_rates` names no parameter.
        """
        groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
        matrices = self._stepped_by_muon(model)
        unused = set(self.learning_rates)
        for name, parameter in model.named_parameters():
            prefix = self._prefix_of(name)
            unused.discard(prefix)  # what is frozen may be named: one recipe serves models that freeze different parts
            if parameter.requires_grad:
                decay = 0.0 if _is_norm_or_bias(name, parameter) else self.weight_decay
                rate, by_muon = self.learning_rates.get(prefix, self.learning_rate), id(parameter) in matrices
                rate *= self.muon_rate_factor if by_muon else 1.0
                groups.setdefault((by_muon, rate, decay), []).append(parameter)
        if unused:
            parts = sorted({".".join(name.split(".")[:2]) for name, _ in model.named_parameters()})
            raise DialError(f"`learning_rates` names {', '.join(sorted(unused))}, but no parameter begins so; there are {', '.join(parts)}")
        return [
            {"params": group, "lr": rate, "weight_decay": decay, "by_muon": by_muon} for (by_muon, rate, decay), group in groups.items()
        ]

    @property
    def steps_shards(self) -> bool:
        """Whether the optimiser can step weights of which each process holds a part; Muon needs whole matrices."""
        return self.optimiser != "muon"

    def check_sharding(self, sharded: bool) -> None:
        """Refuses an optimiser that cannot step weights spread over several processes.

        Raises:
            DialError: they are `sharded`, and Muon needs whole matrices.
        """
        if sharded and not self.steps_shards:
            raise DialError("Muon needs whole matrices: train on one process or with DDP, or set the stage's `optimiser` to adamw")

    def moments(self, model: nn.Module) -> int:
        """How many numbers the optimiser keeps: two for a parameter that learns, one where Muon steps it."""
        matrices = self._stepped_by_muon(model)
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return sum((1 if id(parameter) in matrices else 2) * parameter.numel() for parameter in learning)

    def _stepped_by_muon(self, model: nn.Module) -> set[int]:
        """The `id` of every parameter that Muon steps: weights of linear layers that are no tables too (a tied output layer)."""
        if self.optimiser != "muon":
            return set()
        tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        return {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)} - tables

    def _prefix_of(self, name: str) -> str:
        return max((prefix for prefix in self.learning_rates if name.startswith(prefix)), key=len, default="")


def _is_norm_or_bias(name: str, parameter: nn.Parameter) -> bool:
    shape = getattr(parameter, "ds_shape", parameter.shape)  # DeepSpeed's ZeRO-3 leaves no shape of its own
    return len(shape) < 2 or name.endswith("bias")  # a slot's biases are a table


@dataclass(frozen=True)
class Hardware:
    """What a call adds to a recipe: how this machine gets through it. Changes no result but by float rounding.

    Attributes:
        micro_batch: samples that one device takes at once; the rest of its share is accumulated. 0: its whole share.
        loader_workers: processes a device that decode and gather batches; 0 does it between the steps.
        wandb: report to Weights & Biases too (`pip install wandb`, `wandb login`).
        precision: `bfloat16` or `float32` instead of what the recipe's `bf16` says (`recipe`).
        compiled: compile the repeated blocks of the model.
    """

    micro_batch: int = 0
    loader_workers: int = 0
    wandb: bool = False
    precision: Literal["recipe", "float32", "bfloat16"] = "recipe"
    compiled: bool = False

    def in_precision(self, plan: Optimisation) -> Optimisation:
        """The plan with `bf16` as this call computes it: the recipe's, unless `precision` names one."""
        return plan if self.precision == "recipe" else plan.model_copy(update={"bf16": self.precision == "bfloat16"})

    def split(self, batch_size: int, processes: int) -> tuple[int, int]:
        """(samples a micro-batch, micro-batches a step) for each of `processes`.

        Raises:
            DialError: the batch does not divide evenly.
        """
        micro = self.micro_batch or batch_size // processes
        if not micro or batch_size % (processes * micro):
            advice = f"choose --micro-batch so that {processes} x micro-batch divides {batch_size}"
            if batch_size % processes:
                fitting = next(count for count in range(processes, 0, -1) if batch_size % count == 0)
                advice = (
                    f"the number of processes must divide it: take {fitting}, or set the stage's `batch_size` to a multiple of {processes}"
                )
            raise DialError(f"a batch of {batch_size} does not divide into {processes} processes with micro-batches of {micro}; {advice}")
        return micro, batch_size // (processes * micro)
