"""One training run on transformers' `Trainer`: resumable, with a progress bar, a JSONL log, TensorBoard and a loss curve."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import load_model
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from dial_core.config import Config
from dial_core.data.progress import progress_bar
from dial_core.errors import DialError


class Optimisation(Config):
    """How one run optimises. Defaults: the released recipe's AdamW and schedule (model.md, "Loss and stages")."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    backbone_learning_rate: float | None = Field(default=None, gt=0)  # of the language model; None: learning_rate
    weight_decay: float = Field(default=1e-5, ge=0)
    betas: tuple[float, float] = (0.95, 0.999)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    bf16: bool = False
    save_period_s: float = Field(default=180.0, gt=0)
    log_period_steps: int = Field(default=20, gt=0)
    seed: int = 0


def run_training(model: nn.Module, data: Dataset, collate: Any, plan: Optimisation, folder: Path, title: str, backbone: str = "") -> None:
    """Trains `model` in place for `plan.steps` steps, from the newest checkpoint in `folder` if there is one.

    Args:
        model: its forward takes a collated batch as keywords and returns an object with `.loss` (a scalar) and
            further scalars `*_loss`, which are logged.
        data: map-style dataset; `collate` makes a dict of tensors of a list of its items.
        folder: gets `checkpoint-*/`, `log.jsonl`, TensorBoard events and `loss.png`.
        backbone: name prefix of the parameters that learn at `plan.backbone_learning_rate`.
    """
    # PyTorch's default of one thread a core is slower than one thread when the other cores are busy.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    folder.mkdir(parents=True, exist_ok=True)
    newest = get_last_checkpoint(str(folder))
    if newest and int(newest.rsplit("-", 1)[1]) >= plan.steps:  # Trainer would do one step more
        load_model(model, f"{newest}/model.safetensors")
        return
    optimiser = torch.optim.AdamW(_parameter_groups(model, plan, backbone), lr=plan.learning_rate, betas=plan.betas, eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: cosine_with_warmup(step, plan))
    trainer = _LoggingTrainer(
        folder,
        model=model,
        args=_arguments(plan, folder),
        train_dataset=data,
        data_collator=collate,
        optimizers=(optimiser, schedule),
        callbacks=[_Rhythm(plan, title)],
    )
    for printing in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == "PrinterCallback"]:
        trainer.remove_callback(printing)
    trainer.train(resume_from_checkpoint=newest)
    draw_loss_curve(folder / "log.jsonl", folder / "loss.png", title)


def cosine_with_warmup(step: int, plan: Optimisation) -> float:
    """Factor on the learning rate at `step`: linear over the first `warmup_fraction`, then half a cosine to 0."""
    warmup = max(1, round(plan.warmup_fraction * plan.steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, plan.steps - warmup))))


def draw_loss_curve(log: Path, picture: Path, title: str) -> None:
    """Draws every loss in `log` (JSON lines with `step`) over the steps, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for name in sorted({key for row in rows for key in row if key.endswith("loss")}):
        points = sorted((row["step"], row[name]) for row in rows if name in row)
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
    axes.set(title=title, xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)


def _parameter_groups(model: nn.Module, plan: Optimisation, backbone: str) -> list[dict[str, Any]]:
    learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
    slow = [value for name, value in learning.items() if backbone and name.startswith(backbone)]
    fast = [value for name, value in learning.items() if not (backbone and name.startswith(backbone))]
    slow_rate = plan.backbone_learning_rate or plan.learning_rate
    groups = [(fast, plan.learning_rate), (slow, slow_rate)]
    return [{"params": values, "lr": rate, "weight_decay": plan.weight_decay} for values, rate in groups if values]


def _arguments(plan: Optimisation, folder: Path) -> TrainingArguments:
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        max_grad_norm=plan.clip_norm,
        bf16=plan.bf16,
        seed=plan.seed,
        logging_steps=plan.log_period_steps,
        save_strategy="no",  # by the clock, in _Rhythm
        save_total_limit=1,
        disable_tqdm=True,
        report_to=["tensorboard"],
        remove_unused_columns=False,
        dataloader_num_workers=0,  # batches are slices of a memory map: a process more would only compete for cores
        dataloader_drop_last=True,
        ignore_data_skip=True,  # a resumed run draws a new order instead of reading through the old one
        use_cpu=not torch.cuda.is_available(),
    )


class _LoggingTrainer(Trainer):
    """Trainer whose log carries the mean of every part of the loss, and which stops at a loss that is not finite."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.folder = folder
        self.model_accepts_loss_kwargs = False
        self._parts: dict[str, list[torch.Tensor]] = {}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The model's own loss; its parts are kept for the log."""
        output = model(**inputs)
        if not torch.isfinite(output.loss):
            raise DialError(
                f"The loss became {output.loss.item()} at step {self.state.global_step}; lower `learning_rate` in the "
                f"recipe and run again: it goes on from the newest checkpoint in {self.args.output_dir}."
            )
        for name in ("world_loss", "action_loss", "text_loss", "patch_loss"):
            if (value := getattr(output, name, None)) is not None:
                self._parts.setdefault(name, []).append(value.detach())
        return (output.loss, output) if return_outputs else output.loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the parts' means and writes the row to `log.jsonl` too."""
        logs |= {name: torch.stack(values).mean().item() for name, values in self._parts.items()}
        self._parts.clear()
        row = {"step": self.state.global_step, "wall_s": round(time.time(), 1), **logs}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        super().log(logs, start_time)


class _Rhythm(TrainerCallback):
    """Moves the progress bar and saves by the clock: what an interruption costs is minutes, whatever a step takes."""

    def __init__(self, plan: Optimisation, title: str) -> None:
        self.plan, self.title = plan, title
        self.saved_s = time.monotonic()
        self.news = ""
        self._bar = ExitStack()

    def on_train_begin(self, args, state, control, **_):
        self.advance = self._bar.enter_context(progress_bar(self.title, state.max_steps, state.global_step))

    def on_log(self, args, state, control, logs=None, **_):
        logs = logs or {}
        self.news = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name.endswith("loss"))

    def on_step_end(self, args, state, control, **_):
        self.advance(1, self.news)
        finished = state.global_step >= state.max_steps
        if finished or time.monotonic() - self.saved_s > self.plan.save_period_s:
            self.saved_s = time.monotonic()
            control.should_save = True

    def on_train_end(self, args, state, control, **_):
        self._bar.close()
