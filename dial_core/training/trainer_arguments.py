"""What transformers' Trainer is asked for: an optimisation's plan and the machine's, as its own arguments."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import TrainingArguments

from dial_core.errors import DialError
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.processes import TIMEOUT, launched_with_fsdp


def trainer_arguments(plan: Optimisation, folder: Path, hardware: Hardware) -> TrainingArguments:
    """The arguments of a run of `plan` in `folder`; also sets the environment variables that Trainer and its trackers read.

    Raises:
        DialError: wandb is asked for and not installed, or the batch does not divide into processes and micro-batches.
    """
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader processes are forked after prompts were encoded
    if hardware.wandb and not find_spec("wandb"):
        raise DialError("--wandb needs the package wandb: `pip install wandb`, then `wandb login`; TensorBoard works without")
    bf16 = hardware.in_precision(plan).bf16
    # A launch's `mixed_precision` would apply wherever the run itself asks for none; `dial train` reports that it does not.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if bf16 else "no"
    micro_batch, accumulation = hardware.split(plan.batch_size, int(os.environ.get("WORLD_SIZE", "1")))
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation,
        accelerator_config=_reduce_each_micro_batch() if launched_with_fsdp() else None,
        max_grad_norm=plan.clip_norm,
        bf16=bf16,
        ddp_find_unused_parameters=False,  # what learns in a stage gets a gradient in it (`DialModel.set_trainable`)
        seed=plan.seed,
        logging_steps=plan.log_period_steps,
        logging_nan_inf_filter=False,  # a loss that is not finite stops the run (health.py)
        save_strategy="no",  # by the clock, in _Rhythm
        disable_tqdm=True,
        report_to=["tensorboard", "wandb"] if hardware.wandb else ["tensorboard"],
        run_name=folder.name,
        remove_unused_columns=False,
        dataloader_num_workers=hardware.loader_workers,
        dataloader_persistent_workers=hardware.loader_workers > 0,
        dataloader_prefetch_factor=4 if hardware.loader_workers else None,
        dataloader_drop_last=True,
        ddp_timeout=int(TIMEOUT.total_seconds()),
        use_cpu=not torch.cuda.is_available(),
    )
    # Trainer would wrap the model in DataParallel where one process sees several GPUs, and multiply the batch by their number.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _reduce_each_micro_batch() -> dict:
    """For FSDP: gradients are reduced into shards after every micro-batch of a step, not only after the last.

    Trainer's default keeps each device's own gradients, whole and in float32, until the last one: 13.2 GiB of the 3B model instead of 1.7
    on eight GPUs, where weights were sharded because memory is short. The price is a reduce-scatter a micro-batch beside the two gathers of
    the weights (forward and backward) that it has anyway, half as much traffic again. It overlaps with the backward pass, and a larger
    micro-batch in the memory that is saved needs fewer of all three. `memory_of` counts on it.

    A new one for each stage: Trainer writes into it, and refuses what it wrote the next time.
    """
    return {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
