"""One training step measured on random inputs: the worker's side of `execution.choose_execution`, and `dial bench`'s training step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn

from dial_core.model.compiling import prepare_compiler
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel, DialOutput
from dial_core.model.language_head import next_token_loss
from dial_core.model.prompt import IGNORED
from dial_core.model.training_batch import TrainingBatch
from dial_core.training.optimisation import Optimisation
from dial_core.training.optimisers import make_optimiser

_WARMUP_STEPS, _LEAST_STEPS = 2, 3
_INSTRUCTION_TOKENS = 20  # of chat template and instruction


@dataclass(frozen=True)
class Workload:
    """The step that is measured.

    Attributes:
        arch: of the model.
        samples: foresights (of `pretrain`: views) in the whole batch.
        chunks: that one foresight serves.
        flow_draws: of noise and tau for each chunk.
        stage: what learns.
        pixels: whether views are encoded in the step.
    """

    arch: Architecture
    samples: int
    chunks: int = 1
    stage: Literal["pretrain", "warmup", "end_to_end"] = "end_to_end"
    pixels: bool = False
    flow_draws: int = 1
    optimiser: Literal["adamw", "muon"] = "adamw"


@dataclass(frozen=True)
class Probe:
    """What one of `count` processes measures: the (precision, compiled) `ways` of one workload; `place` is a folder to meet in."""

    workload: Workload
    ways: tuple[tuple[str, bool], ...]
    rank: int
    count: int
    place: str
    window_s: float


def measure(probe: Probe) -> list[float]:
    """Seconds a step of every way, the exchange of gradients between the processes included."""
    torch.set_num_threads(1)
    if probe.count == 1:
        return [_measure(probe, *way) for way in probe.ways]
    meeting = f"file://{Path(probe.place) / '-'.join(str(way) for way in probe.ways).replace(' ', '')}"
    distributed.init_process_group("gloo", meeting, timedelta(minutes=10), probe.count, probe.rank)
    try:
        return [_measure(probe, *way) for way in probe.ways]
    finally:
        distributed.destroy_process_group()


def _measure(probe: Probe, precision: str, compiled: bool) -> float:
    model, batch = make_step(probe.workload)
    if compiled:
        prepare_compiler()
        model.compile_blocks()  # type: ignore[operator]
    trained: nn.Module = model
    if probe.count > 1:
        trained = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    plan = Optimisation(steps=1, batch_size=probe.workload.samples, optimiser=probe.workload.optimiser, learning_rate=1e-5)
    return seconds_a_step(stepper(trained, batch, precision, plan), probe.window_s, probe.count > 1)


def stepper(model: nn.Module, batch: Mapping[str, Any], precision: str, plan: Optimisation) -> Callable[[], None]:
    """A function that takes one step of the plan's optimiser, as the trainer does."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = make_optimiser(plan, model)
    kind = learning[0].device.type

    def step() -> None:
        with torch.autocast(kind, torch.bfloat16) if precision == "bfloat16" else nullcontext():
            loss = model(**batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(learning, plan.clip_norm)
        optimiser.step()
        optimiser.zero_grad()

    return step


def seconds_a_step(step: Callable[[], None], window_s: float, together: bool = False) -> float:
    """Median over `window_s`, at least a few steps; `together`: all processes take the same number of steps."""
    for _ in range(_WARMUP_STEPS):
        step()
    started_s, times = time.perf_counter(), list[float]()
    going = torch.ones(1)
    while going.item():
        begun_s = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun_s)
        going.fill_(float(len(times) < _LEAST_STEPS or times[-1] + time.perf_counter() - started_s < window_s))
        if together:
            distributed.broadcast(going, 0)
    return median(times)


def make_step(workload: Workload) -> tuple[nn.Module, Mapping[str, Any]]:
    """A model with random weights, in training mode, and a batch for its forward pass."""
    model = DialModel(DialConfig(workload.arch))
    rng = torch.Generator().manual_seed(0)
    if workload.stage == "pretrain":
        return text_step(model, workload.samples, rng)
    model.set_trainable(workload.stage)
    return model.train(), chunk_batch(workload, rng)


class TextStep(nn.Module):
    """The vision-language model under the next-token loss, the vision tower included."""

    def __init__(self, model: DialModel) -> None:
        super().__init__()
        self.model = model
        model.set_trainable("pretrain")

    def compile_blocks(self, compiled: bool = True) -> None:
        """See `DialModel.compile_blocks`."""
        self.model.compile_blocks(compiled)

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> DialOutput:
        """The loss of a batch."""
        return DialOutput(loss=next_token_loss(self.model, self.model.vision_tokens(pixels), input_ids, attention_mask, labels))


def text_step(model: DialModel, samples: int, rng: torch.Generator) -> tuple[nn.Module, Mapping[str, Any]]:
    """A step of pretraining: views, and text of which the last half are labels."""
    arch = model.arch
    ids_BT = _prompts(arch, samples, 2 * _INSTRUCTION_TOKENS)
    labels_BT = ids_BT.clone()
    labels_BT[:, : arch.foresight_tokens + _INSTRUCTION_TOKENS] = IGNORED
    pixels = views_like(arch, samples, True, rng)
    return TextStep(model).train(), {"pixels": pixels, "input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT), "labels": labels_BT}


def _prompts(arch: Architecture, samples: int, words: int) -> Tensor:
    image = torch.full((samples, arch.foresight_tokens), arch.tokens.image)
    word = next(index for index in range(1, 10) if index != arch.tokens.image)
    return torch.cat([image, torch.full((samples, words), word)], 1)


def chunk_batch(workload: Workload, rng: torch.Generator) -> TrainingBatch:
    """A random batch as `collating.ChunkCollator` gives it; all prompts are of one length."""
    arch, samples, chunks = workload.arch, workload.samples, workload.samples * workload.chunks
    views = [views_like(arch, count, workload.pixels, rng) for count in (samples, samples, chunks)]
    ids_BT = _prompts(arch, samples, _INSTRUCTION_TOKENS)
    action = torch.randn(chunks, arch.horizon, arch.action_dim, generator=rng)
    return {
        "stage": workload.stage,
        "image_tokens": views[0],
        "goal_tokens": views[1],
        "system1_image_tokens": views[2],
        "input_ids": ids_BT,
        "attention_mask": torch.ones_like(ids_BT),
        "state": torch.randn(chunks, arch.state_dim, generator=rng),
        "action": action,
        "action_mask": torch.ones_like(action),
        "noise": torch.randn(workload.flow_draws * chunks, arch.horizon, arch.action_dim, generator=rng),
        "tau": torch.rand(workload.flow_draws * chunks, generator=rng),
        "embodiment_id": 0,
    }


def views_like(arch: Architecture, count: int, pixels: bool, rng: torch.Generator) -> Tensor:
    """Random images (count, H, W, 3), or their tokens (count, N, F)."""
    if pixels:
        return torch.randint(0, 256, (count, arch.image.height, arch.image.width, 3), dtype=torch.uint8, generator=rng)
    return torch.randn(count, arch.foresight_tokens, arch.feature_width, generator=rng)
