"""Two processes that share one device: data-parallel training gives the gradients of one process with the whole batch."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing, nn
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.training.probe import Workload, chunk_batch

SAMPLES, COUNT = 4, 2
PATIENCE = timedelta(seconds=20)


def shared_device_facts(device: torch.device) -> dict[str, Any]:
    """Relative difference of the gradients, and the backend that exchanged them: NCCL where it allows two processes a device, else gloo."""
    whole = gradients(_model(device), _batch(device, slice(None)))
    facts: dict[str, Any] = {}
    for backend in ("nccl", "gloo") if device.type == "cuda" else ("gloo",):
        with tempfile.TemporaryDirectory() as folder:
            try:
                multiprocessing.spawn(_exchange, (folder, backend, str(device)), COUNT)
            except (ProcessExitedException, ProcessRaisedException) as error:
                facts[f"{backend}_refused"] = str(error).strip().splitlines()[-1][:200]
                continue
            together = load_file(Path(folder, "gradients.safetensors"))
        off = sum((together[name] - gradient).square().sum() for name, gradient in whole.items())
        size = sum(gradient.square().sum() for gradient in whole.values())
        return facts | {"backend": backend, "relative_difference": float((off / size) ** 0.5)}
    return facts


def gradients(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Gradients of one step by parameter, on the CPU."""
    model(**batch).loss.backward()
    named = ((name.removeprefix("module."), parameter.grad) for name, parameter in model.named_parameters())
    return {name: gradient.detach().cpu().clone() for name, gradient in named if gradient is not None}


def _exchange(rank: int, folder: str, backend: str, device_name: str) -> None:
    """One of the processes, with its share of the batch."""
    torch.set_num_threads(1)
    device = torch.device(device_name)
    distributed.init_process_group(backend, f"file://{folder}/meeting", PATIENCE, COUNT, rank)
    try:
        model = nn.parallel.DistributedDataParallel(_model(device), gradient_as_bucket_view=True)
        share = SAMPLES // COUNT
        found = gradients(model, _batch(device, slice(rank * share, (rank + 1) * share)))
        if rank == 0:
            save_file(found, Path(folder, "gradients.safetensors"))
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _model(device: torch.device) -> DialModel:
    model = DialModel.from_preset("dial_tiny", 0)
    nn.Module.to(model, device)
    model.set_trainable("end_to_end")
    return model.eval()  # without dropout


def _batch(device: torch.device, part: slice) -> dict[str, Any]:
    arch = DialConfig.from_preset("dial_tiny").arch
    batch = chunk_batch(Workload(arch, SAMPLES), torch.Generator().manual_seed(0))
    return {name: value[part].to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
