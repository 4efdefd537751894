"""One training run on transformers' `Trainer` and accelerate: the same losses on one process or many, interrupted or not.

A sample is a function of its number (`mixture.py`), so that a resumed run skips by counting and any number of processes draws the same
global batch. All other random numbers (dropout) come from generators whose states are part of the checkpoint. Checkpoints are written
atomically.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel, TrainerCallback

from dial_core.checkpoint.checkpoint import quiet_loading
from dial_core.jobs.progress import progress_bar
from dial_core.model.compiling import prepare_compiler
from dial_core.model.prompt import IGNORED
from dial_core.training.averaging import WeightAverage
from dial_core.training.frozen_weights import FrozenWeights
from dial_core.training.health import StepFacts, Watch
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.optimisers import make_optimiser
from dial_core.training.processes import process_state
from dial_core.training.run_folder import STAGING, checkpoints, clear_staging, draw_loss_curve, prune, publish, rewind_log
from dial_core.training.trainer_arguments import trainer_arguments
from dial_core.training.trainer_seams import TrainerSeams
from dial_core.training.wandb_runs import stage_run

PARTS = ("world_loss", "action_loss", "text_loss", "class_loss", "patch_loss", "spread_loss", "place_loss", "where_loss", "copy_loss")
# Keyword of a model's forward pass -> how many elements a batch has in the mean that is its loss; None where it has no such loss.
ELEMENTS: dict[str, Callable[[dict], Tensor | None]] = {
    "action_elements": lambda batch: batch["action_mask"].expand_as(batch["action"]).sum() if "action_mask" in batch else None,
    "label_elements": lambda batch: (batch["labels"][:, 1:] != IGNORED).sum() if "labels" in batch else None,
}


def run_training(
    model: nn.Module,
    data: Any,
    collate: Any,
    plan: Optimisation,
    folder: Path,
    title: str,
    hardware: Hardware | None = None,
) -> dict[str, Tensor]:
    """Trains `model` for `plan.steps` steps, from the newest checkpoint in `folder` if there is one.

    Called by every process of an `accelerate launch`; the files are written by one. `model` is trained in place (its average
    takes its place if the plan has one); with FSDP2 or DeepSpeed it may be in pieces afterwards.

    Args:
        model: its forward takes a collated batch as keywords and returns an object with `.loss` (a scalar) and
            further scalars `*_loss`, which are logged.
        data: `data[k]` is sample number k of the run, for any k, always the same; or `data.__getitems__([k, ...])`.
        collate: makes a dict of tensors of what `data` gave.
        folder: gets `checkpoint-*/`, `log.jsonl`, TensorBoard events and `loss.png`.

    Returns:
        The trained weights, whole and on the CPU; on processes but the first possibly none.

    Raises:
        DialError: the loss or a gradient went wrong (the message has the facts), or the plan does not fit the machine.
    """
    # PyTorch's default of one thread a core is slower than one thread when the other cores are busy.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    hardware = hardware or Hardware()
    state = process_state()
    arguments = trainer_arguments(plan, folder, hardware)
    if state.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        clear_staging(folder)
    state.wait_for_everyone()
    newest = max(checkpoints(folder), default=(0, None))
    if newest[0] >= plan.steps and newest[1] is not None:  # Trainer would do one step more
        _load_weights(model, newest[1])
        if plan.ema_decay:
            WeightAverage.stored(newest[1], 0, plan.ema_decay, model).take_over(model)  # whole: in shards the last step is not saved
        return dict(model.state_dict())
    if plan.gradient_checkpointing:
        model.activation_checkpointing_enable()  # type: ignore[operator]
    if hardware.compiled:
        prepare_compiler()
        model.compile_blocks()  # type: ignore[operator]
    if state.is_main_process:
        rewind_log(folder / "log.jsonl", newest[0])
    frozen = FrozenWeights(model) if arguments.bf16 else None
    trainer = DialTrainer(plan, folder, title, newest[1], model=model, args=arguments, data=data, collate=collate)
    try:
        with stage_run(folder, hardware.wandb):
            trainer.train(resume_from_checkpoint=str(newest[1]) if newest[1] else None)
        if hardware.compiled:
            model.compile_blocks(False)  # type: ignore[operator]
        weights = trainer.finish()
    finally:
        # Trainer and callbacks hold each other: until they are collected, the next stage would share the GPU with this one's moments.
        del trainer
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if frozen:
        frozen.release(model)
    return frozen.restored(weights) if frozen else weights


def _load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Fills a model with the weights of a checkpoint of its own run."""
    if not isinstance(model, PreTrainedModel):
        load_model(model, checkpoint / "model.safetensors")
        return
    with quiet_loading():  # transformers stores DINOv2's tensors under older names, which its own loader translates
        model.load_state_dict(type(model).from_pretrained(checkpoint).state_dict())


class _Numbered(Dataset):
    """The samples of a whole run as one epoch of known length, so that Trainer resumes by counting."""

    def __init__(self, data: Any, count: int) -> None:
        self.data, self.count = data, count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, numbers: list[int]) -> Any:
        whole = getattr(self.data, "__getitems__", None)
        return whole(numbers) if whole else [self.data[number] for number in numbers]


class DialTrainer(TrainerSeams):
    """Trainer with learning rates by module, a check before every step, atomic checkpoints, averaged weights and a JSONL log."""

    def __init__(self, plan: Optimisation, folder: Path, title: str, newest: Path | None, *, data: Any, collate: Any, **given: Any):
        self.plan, self.folder, self.title = plan, folder, title
        self.staging = folder / STAGING
        self.newest, self.saved_s = newest, time.monotonic()
        self.watch = Watch(plan.spike_factor, folder)
        if newest:
            self.watch.resume(newest)
        self.average = WeightAverage(plan.ema_decay) if plan.ema_decay else None
        self._step_losses: list[dict[str, Tensor]] = []  # one a micro-batch of the step at work
        self._logged: dict[str, list[float]] = {}
        numbered = _Numbered(data, plan.steps * plan.batch_size)
        super().__init__(train_dataset=numbered, data_collator=collate, callbacks=[_Rhythm(self)], **given)
        self.model_accepts_loss_kwargs = False
        if self.args.process_index:  # else all processes drop out the same: Trainer seeds them alike
            torch.manual_seed(int(np.random.SeedSequence((plan.seed, self.args.process_index)).generate_state(1)[0]))
        for printing in [c for c in self.callback_handler.callbacks if type(c).__name__ == "PrinterCallback"]:
            self.remove_callback(printing)

    @property
    def sharded(self) -> bool:
        """Whether the weights lie in pieces on the processes, and so do the checkpoints."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    @property
    def part(self) -> int:
        """Which part of the average this process stores: its own in shards, the only one where weights are whole."""
        return self.args.process_index if self.sharded else 0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The plan's optimiser, with its learning rate for each module."""
        self.plan.check_sharding(self.sharded)
        if self.optimizer is None:
            whole: Any = model or self.model
            self.optimizer = make_optimiser(self.plan, whole)
        return self.optimizer

    def make_scheduler(self, optimizer: Any) -> Any:
        """The plan's warmup and cosine."""
        return torch.optim.lr_scheduler.LambdaLR(optimizer, self.plan.rate_factor)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Adds to every micro-batch how many elements an average one has, over the whole global batch, for each loss that is a mean.

        Samples of embodiments with fewer dimensions, and answers with fewer tokens, then weigh the same however the batch is cut into
        processes and micro-batches: the mean is over the elements of all of it.
        """
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        for name, elements_of in ELEMENTS.items():
            counts = [number for batch in batches if (number := elements_of(batch)) is not None]
            if counts:
                elements = self.accelerator.reduce(torch.stack(counts).to(device, torch.float32).mean(), "mean")
                batches = [batch | {name: elements} for batch in batches]
        return batches, count

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The model's own loss; it and its parts are kept for the log and the watch."""
        with self.accelerator.autocast():  # under FSDP2 accelerate leaves it to the caller
            output = model(**inputs)
        named = {"loss": output.loss} | {name: getattr(output, name, None) for name in PARTS}
        self._step_losses.append({name: value.detach().float() for name, value in named.items() if value is not None})
        return (output.loss, output) if return_outputs else output.loss

    def before_step(self, model: nn.Module, norm: Any) -> None:
        """Checks the step that is about to be taken, with one all-reduce and one host synchronisation."""
        losses = {name: torch.stack([row[name] for row in self._step_losses]).mean() for name in self._step_losses[0]}
        self._step_losses.clear()
        due = losses["loss"].new_full((), time.monotonic() - self.saved_s > self.plan.save_period_s)  # filled there, not copied
        agreed = self.accelerator.reduce(torch.stack([*losses.values(), due]), "mean")
        *values, due, norm = torch.cat([agreed, _beside(agreed, norm)]).tolist()
        means = dict(zip(losses, values, strict=True))
        step = self.state.global_step + 1
        draws = (self.state.global_step * self.plan.batch_size, step * self.plan.batch_size - 1)
        optimiser: Any = self.optimizer
        rates = [group["lr"] for group in optimiser.param_groups]
        facts = StepFacts(step, means.pop("loss"), means, norm, rates, *draws)
        self.watch.judge(facts, model, self.newest, taken=bool(self.is_deepspeed_enabled))
        for name, value in means.items():
            self._logged.setdefault(name, []).append(value)
        kept = bool(self.plan.keep_every_steps) and step % (self.plan.keep_every_steps or 1) == 0
        # Of a run in shards the last step is not saved: its weights are gathered next, and there is no resuming after it.
        self.control.should_save = not self.sharded if step == self.plan.steps else due > 0 or kept

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the parts' means and writes the row to `log.jsonl` too."""
        logs |= {name: sum(values) / len(values) for name, values in self._logged.items()}
        self._logged.clear()
        if self.is_world_process_zero():
            row = {"step": self.state.global_step, "wall_s": round(time.time(), 1), **logs}
            with (self.folder / "log.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        super().log(logs, start_time)

    def checkpoint_staged(self, folder: Path) -> None:
        """Publishes the checkpoint once every process has finished its part."""
        if self.average and (self.sharded or self.is_world_process_zero()):
            self.average.save(folder, self.part)
        if self.is_world_process_zero():
            self.watch.save(folder)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            publish(self.folder, self.state.global_step)
            prune(self.folder, self.plan.keep_checkpoints, self.plan.keep_every_steps, self.state.global_step)
        self.newest, self.saved_s = self.folder / folder.name, time.monotonic()
        self.accelerator.wait_for_everyone()

    def finish(self) -> dict[str, Tensor]:
        """The weights (their average, if there is one), whole and on the CPU; none on processes but the first, which need no copy."""
        model: Any = self.model
        if self.average:
            self.average.take_over(model)
        # From shards they are gathered by all processes together.
        state = self.accelerator.get_state_dict(self.model_wrapped) if self.sharded else model.state_dict()
        if not self.is_world_process_zero():
            return {}
        draw_loss_curve(self.folder / "log.jsonl", self.folder / "loss.png", self.title)
        return {name: value.detach().cpu() for name, value in (state or {}).items()}


def _beside(values_K: Tensor, norm: Any) -> Tensor:
    """A gradient's norm (1,) as these values are: of shards it is a sum over the processes, DeepSpeed's engine has a number, or none."""
    whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole.to(values_K).reshape(1) if isinstance(whole, Tensor) else values_K.new_full((1,), whole or 0.0)


class _Rhythm(TrainerCallback):
    """Updates the progress bar and the average after every step, and saves by the clock instead of by the step count."""

    def __init__(self, trainer: DialTrainer) -> None:
        self.trainer, self.note = trainer, ""
        self._bar = ExitStack()

    def on_train_begin(self, args, state, control, model=None, **_):
        quiet = not state.is_world_process_zero
        self.advance = self._bar.enter_context(progress_bar(self.trainer.title, state.max_steps, state.global_step, quiet))
        if self.trainer.average:
            self.trainer.average.begin(model, self.trainer.newest, self.trainer.part)

    def on_log(self, args, state, control, logs=None, **_):
        logs = logs or {}
        self.note = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name.endswith("loss"))

    def on_step_begin(self, args, state, control, **_):
        control.should_save = False  # set again by the trainer when it is due

    def on_step_end(self, args, state, control, model=None, **_):
        self.advance(1, self.note)
        if self.trainer.average:
            self.trainer.average.update(model, state.global_step)

    def on_train_end(self, args, state, control, **_):
        self._bar.close()
