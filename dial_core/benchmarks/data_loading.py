"""`dial bench data`: does decoding keep up with the model? Samples a second from video, by number of worker processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.observation.camera_view import CameraView
from dial_core.training.augmentation import ImageAugmentation
from dial_core.training.mixture import Mixture, draw_stream
from dial_core.training.streams import Pixels

BATCH = 8
AUGMENTATION = ImageAugmentation(crop=0.95, brightness=0.3, contrast=0.4, saturation=0.5)  # of the shipped recipes


@dataclass(frozen=True)
class LoadingRate:
    """Samples (o_t and o_{t+H}, decoded, augmented, resized) a second with `workers` processes; 0 decodes in this one."""

    workers: int
    samples_per_s: float


class _Frames(Dataset):
    """Sample k: the two views of a random frame, as training draws them."""

    def __init__(self, dataset: LeRobotDataset, size_px: int, horizon: int, count: int) -> None:
        camera = dataset.cameras[0]
        self.views = Pixels(dataset, AUGMENTATION, camera, CameraView(name=camera, height=size_px, width=size_px))
        spans = dataset.episodes
        self.last = np.repeat([span.first + span.length - 1 for span in spans], [span.length for span in spans])
        self.mixture = Mixture({"frames": len(self.last)}, {"frames": 1.0}, seed=0)
        self.horizon, self.count = horizon, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> torch.Tensor:
        _, row = self.mixture.draw(number)
        rows = np.array([row, min(row + self.horizon, self.last[row])])
        return self.views.take(rows, draw_stream(0, number))


def bench_loading(folder: Path, workers: list[int], size_px: int, horizon: int = 16, budget_s: float = 10.0) -> list[LoadingRate]:
    """Draws from a dataset for `budget_s` with each number of worker processes; their start is not counted."""
    dataset = LeRobotDataset(folder)
    return [LoadingRate(count, _rate(_Frames(dataset, size_px, horizon, 10**6), count, budget_s)) for count in workers]


def table_of(rates: list[LoadingRate], size_px: int, step_s: float | None, batch_size: int) -> Table:
    """Rates beside what a training step of `step_s` on `batch_size` samples needs."""
    table = Table("worker processes", title=f"two {size_px} px views a sample, decoded and augmented")
    table.add_column("samples/s", justify="right")
    if step_s:
        table.add_column(f"of the {batch_size / step_s:,.0f} samples/s that a step needs", justify="right")
    for rate in rates:
        share = [f"{rate.samples_per_s * step_s / batch_size:.0%}"] if step_s else []
        table.add_row(str(rate.workers), f"{rate.samples_per_s:,.1f}", *share)
    return table


def _rate(frames: _Frames, workers: int, budget_s: float) -> float:
    prefetch = 4 if workers else None
    loader = iter(DataLoader(frames, BATCH, num_workers=workers, prefetch_factor=prefetch))
    for _ in range(4 * max(1, workers) + 1):  # past what was made while the processes started
        next(loader)
    started_s, batches = time.perf_counter(), 0
    while time.perf_counter() - started_s < budget_s:
        next(loader)
        batches += 1
    return batches * BATCH / (time.perf_counter() - started_s)
