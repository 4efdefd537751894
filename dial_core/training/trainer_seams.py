"""The one place where transformers' Trainer is overridden below its documented interface.

Trainer has no hook between the gradient and the optimiser's step, none for where a checkpoint is staged, none for DDP's
buckets, and none for the format of a batch under DeepSpeed. What is overridden here is private there: it holds for the version in
`HOLDS_FOR`, and a test compares the signatures with the installed one. Everything else of the training engine uses public methods
and callbacks (`trainer.py`).
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from accelerate import FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.utils.data import SequentialSampler
from transformers import Trainer

from dial_core.training.processes import launched_with_fsdp

HOLDS_FOR = "5.23"
"""Version of transformers that these overrides were written against."""


SHARDED_PRECISION = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
"""Of FSDP2: weights are gathered and gradients reduced in float32, and autocast rounds what it rounds under DDP, no more.

accelerate's own policy casts every input of every unit to bfloat16: actions, noise, tau, state and losses too.
"""


class TrainerSeams(Trainer):
    """Trainer, in three more places open to its subclass: before a step, while a checkpoint is staged, around DDP."""

    staging: Path
    """Folder in which checkpoints are written before they are published."""

    @abstractmethod
    def before_step(self, model: nn.Module, norm: Any) -> None:
        """Called with the gradients as the backward pass left them, not yet clipped, their norm, and the weights not yet touched.

        Under DeepSpeed its engine has clipped them and taken the step.

        Raises:
            DialError: the step must not be taken.
        """

    @abstractmethod
    def checkpoint_staged(self, folder: Path) -> None:
        """Called by every process when it has written its part of a checkpoint into `folder`."""

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The subclass's `make_scheduler`; Trainer needs the flag that it was made here."""
        if self.lr_scheduler is None:
            self.lr_scheduler = self.make_scheduler(optimizer or self.optimizer)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    @abstractmethod
    def make_scheduler(self, optimizer: Any) -> Any:
        """The schedule of the learning rates."""

    def _build_accelerator_args(self, **kwargs: Any) -> dict[str, Any]:
        """Gradients live in DDP's buckets, no second copy of them; FSDP2 rounds what autocast rounds and nothing else."""
        arguments = super()._build_accelerator_args(**kwargs)
        if launched_with_fsdp() and self.args.bf16:
            arguments["fsdp_plugin"] = FullyShardedDataParallelPlugin(mixed_precision_policy=SHARDED_PRECISION)
        for handler in arguments["kwargs_handlers"]:
            handler.gradient_as_bucket_view = True
        return arguments

    def _prepare_input(self, data: Any) -> Any:
        """Moves a batch to the device; under DeepSpeed Trainer would also cast actions, noise, tau and goals to bfloat16."""
        return data.to(self.args.device) if isinstance(data, torch.Tensor) else super()._prepare_input(data)

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        """Sample number k is the k-th to be drawn; the order lies in the data."""
        data: Any = train_dataset or self.train_dataset
        return SequentialSampler(data)

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor | float | None:
        """Measures the norm, asks `before_step`, then clips: clipping by a norm of NaN makes every gradient NaN."""
        if self.is_deepspeed_enabled:  # its engine has clipped and stepped already
            norm: Any = super()._clip_grad_norm(model)
            self.before_step(model, norm)
            return norm
        learned = [parameter for parameter in model.parameters() if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in learned if parameter.grad is not None])
        self.before_step(model, norm)
        clip_grads_with_norm_(learned, self.args.max_grad_norm, norm)
        return norm

    def _get_output_dir(self, trial: Any = None) -> str:
        return str(self.staging)

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        super()._save_checkpoint(model, trial)
        self.checkpoint_staged(self.staging / f"checkpoint-{self.state.global_step}")
