"""The checks of `dial bench gpu`: what only a GPU can show, each a function of (device, preset) that returns its facts.

Every check also runs on a CPU with a tiny preset, which is how the tests keep them in order.
"""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dial_core.benchmarks.both_systems import together
from dial_core.benchmarks.device import roofline_of
from dial_core.benchmarks.gpu_sessions import CheckFailedError, Facts, sessions
from dial_core.benchmarks.model_calls import bench_model
from dial_core.benchmarks.timing import latency_of
from dial_core.benchmarks.two_processes import shared_device_facts
from dial_core.benchmarks.workload import training_batch
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.training.frozen_weights import FrozenWeights
from dial_core.training.memory import memory_of
from dial_core.training.optimisation import Optimisation

MICRO_BATCHES = {"cuda": (8, 16, 32), "cpu": (1, 2)}
STEPS = 5  # timed of each training configuration, after two that are not
TRAINING_BUDGET_S = 95.0  # of the check's limit; no configuration starts after it
GIGABYTE = 1e9


@dataclass(frozen=True)
class GpuCheck:
    """One check: `run(device, preset)` returns facts, or raises if what it checks does not hold; `limit_s` on a GPU [s]."""

    name: str
    shows: str
    run: Callable[[torch.device, str], Facts]
    limit_s: float


def device_facts(device: torch.device, preset: str) -> Facts:
    """Name, memory, software, and the bandwidth and arithmetic that large copies and products reach here."""
    roofline = roofline_of(device, torch.float32 if device.type == "cpu" else torch.bfloat16)
    facts: Facts = {"device": roofline.name, "torch": torch.__version__, "GB/s": roofline.bytes_per_s / 1e9}
    facts |= {"TFLOP/s": roofline.flops_per_s / 1e12, "roofline": roofline.source}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {"memory_GB": properties.total_memory / GIGABYTE, "cuda": torch.version.cuda, "devices": torch.cuda.device_count()}
    return facts


def second_device(device: torch.device, preset: str) -> Facts:
    """The same as `sessions`, of the tiny model, on the last of several devices, where a capture on the wrong one would record nothing."""
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        return {"skipped": "needs two CUDA devices"}
    return sessions(torch.device("cuda", torch.cuda.device_count() - 1), "dial_tiny")


def model_calls(device: torch.device, preset: str) -> Facts:
    """Both systems and their parts with random weights, against the roofline (`dial bench model`)."""
    report = bench_model(preset, str(device), calls=50 if device.type == "cuda" else 5)
    return {
        row.part: {"floor_ms": 1e3 * row.floor_s, "median_ms": _ms(row.median_s), "p99_ms": _ms(row.p99_s), "captured": row.captured}
        for row in report.rows
    }


def training_step(device: torch.device, preset: str) -> Facts:
    """A training step of the end-to-end stage by micro-batch and recomputation: time, MFU, peak memory against the estimate."""
    roofline = roofline_of(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    cuda, rows, begun_s = device.type == "cuda", [], time.monotonic()
    for recompute, micro_batch in itertools.product((False, True), MICRO_BATCHES[device.type]):
        plan = Optimisation(steps=10, batch_size=micro_batch, learning_rate=1e-5, bf16=cuda, gradient_checkpointing=recompute)
        row: Facts = {"micro_batch": micro_batch, "recomputation": recompute}
        if time.monotonic() - begun_s > TRAINING_BUDGET_S:  # past the check's limit the other rows would be lost too
            rows.append(row | {"result": f"left out: it would have started after {TRAINING_BUDGET_S:.0f} s"})
            continue
        try:
            rows.append(row | _timed_steps(device, preset, plan, roofline.flops_per_s))
        except torch.cuda.OutOfMemoryError:
            rows.append(row | {"result": "out of memory"})
        gc.collect()  # a step that ran out of memory leaves its model in a cycle of frames, and the next one needs the room
        if cuda:
            torch.cuda.empty_cache()
    return {"rows": rows}


def _timed_steps(device: torch.device, preset: str, plan: Optimisation, peak_flops_per_s: float) -> Facts:
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    with device:
        model = DialModel(DialConfig.from_preset(preset))
    model.set_trainable("end_to_end")
    if plan.bf16 and model.arch.pretrained:
        keep_frozen_as_published(model)
    if plan.gradient_checkpointing:
        model.activation_checkpointing_enable()
    model.train()
    batch = training_batch(model, plan.batch_size)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(plan.parameter_groups(model), betas=plan.betas, fused=cuda)

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.bf16):
            loss = model("end_to_end", **batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(learning, plan.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        return loss.item()

    flops = training_flops(preset, plan)
    latency = latency_of(step, device, STEPS, 60.0)
    estimate = memory_of(model, model.arch, plan, plan.batch_size, 1, "ddp")
    facts: Facts = {"step_ms": 1e3 * latency.median_s, "samples_per_s": plan.batch_size / latency.median_s}
    # Recomputed activations are work of this machine, not of the model: utilisation with them is HFU, not MFU.
    facts["HFU" if plan.gradient_checkpointing else "MFU"] = flops / latency.median_s / peak_flops_per_s
    facts["estimate_GB"] = estimate.total / GIGABYTE
    if cuda:
        facts["peak_GB"] = torch.cuda.max_memory_allocated(device) / GIGABYTE
    return facts


def keep_frozen_as_published(model: DialModel) -> None:
    """Rounds random frozen weights to bfloat16's values, which a published backbone has, so that they are kept in it as in training."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16().float()
    FrozenWeights(model)


def training_flops(preset: str, plan: Optimisation) -> float:
    """Floating-point operations of a step's forward and backward pass, recomputation included, counted without memory or a device."""
    model = DialModel.without_weights(DialConfig.from_preset(preset).arch)
    model.set_trainable("end_to_end")
    if plan.gradient_checkpointing:
        model.activation_checkpointing_enable()
    model.train()
    with FlopCounterMode(display=False) as counter:
        model("end_to_end", **training_batch(model, plan.batch_size)).loss.backward()
    return float(counter.get_total_flops())


def two_processes(device: torch.device, preset: str) -> Facts:
    """Two processes on one device against one with the whole batch.

    Raises:
        CheckFailedError: their gradients differ by more than rounding, or no backend ran.
    """
    facts = shared_device_facts(device)
    if not facts.get("relative_difference", 1.0) < 1e-3:
        raise CheckFailedError(f"two processes do not train as one: {facts}")
    return facts


def exact_resume(device: torch.device, preset: str) -> Facts:
    """Eight steps in one go, and the same eight interrupted after every third: the same weights to the last bit.

    Raises:
        CheckFailedError: the weights differ.
    """
    from dial_core.training.trainer import run_training

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    plan = Optimisation(steps=8, batch_size=2, learning_rate=1e-3, save_period_s=1e-6, bf16=device.type == "cuda")

    def weights(folder: Path, interrupted: bool) -> dict[str, torch.Tensor]:
        while True:
            module = _Resumable(3 if interrupted else 0)
            try:
                return run_training(module, _Samples(), _collated, plan, folder, "resume")
            except KeyboardInterrupt:
                continue

    try:
        # The fused attention kernels add their gradients in any order, `warn_only` leaves them so, and no two runs would be equal.
        with tempfile.TemporaryDirectory() as folder, sdpa_kernel(SDPBackend.MATH):
            whole, resumed = weights(Path(folder, "whole"), False), weights(Path(folder, "resumed"), True)
    finally:
        torch.use_deterministic_algorithms(False)
    furthest = max(float((whole[name].float() - resumed[name].float()).abs().max()) for name in whole)
    if furthest > 0:
        raise CheckFailedError(f"a resumed run ends {furthest:.2e} from an uninterrupted one")
    return {"largest_difference": furthest, "steps": plan.steps}


class _Resumable(nn.Module):
    """The tiny model under training; raises KeyboardInterrupt before its `stop_at`-th step, if not 0.

    Noise, times of the flow and dropout come from the global generators, whose states a checkpoint has to hold.
    """

    def __init__(self, stop_at: int) -> None:
        super().__init__()
        self.model = DialModel.from_preset("dial_tiny", 0)
        self.model.set_trainable("end_to_end")
        self.stop_at, self.steps = stop_at, 0

    def forward(self, sample: torch.Tensor):
        self.steps += 1
        if self.stop_at and self.steps > self.stop_at:
            raise KeyboardInterrupt
        cards = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(cards):  # the batch is a function of its numbers, and the global generators stay where they were
            torch.manual_seed(int(sample.sum()))
            batch = training_batch(self.model, len(sample))
        return self.model("end_to_end", **batch)


class _Samples:
    """Sample k is the number k."""

    def __getitem__(self, number: int) -> int:
        return number


def _collated(numbers: list[int]) -> dict[str, torch.Tensor]:
    return {"sample": torch.tensor(numbers)}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


CHECKS = {
    check.name: check
    for check in (
        GpuCheck("device", "what the card is and what it can do", device_facts, 30),
        GpuCheck("sessions", "captured and bfloat16 sessions at full size answer as launched float32 ones do", sessions, 95),
        GpuCheck("second_device", "the same at tiny size on the last of several cards", second_device, 35),
        GpuCheck("model", "latency of both systems at full size, each part alone, against the roofline", model_calls, 75),
        GpuCheck("together", "latency and memory of both systems at full size, at once and at the robot's rates", together, 65),
        GpuCheck("training", "training step at full size: time, utilisation, memory", training_step, 130),
        GpuCheck("two_processes", "two processes on the card train as one does (NCCL if it allows that, else gloo)", two_processes, 65),
        GpuCheck("resume", "an interrupted run ends with the same weights", exact_resume, 45),
    )
}
