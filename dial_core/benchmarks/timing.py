"""Latencies of a call: median and p99 over many, the device idle before and after each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Latency:
    """Of `calls` calls [s]."""

    median_s: float
    p99_s: float
    calls: int


def latency_of(call: Callable[[], object], device: torch.device, calls: int = 100, budget_s: float = 20.0) -> Latency:
    """Times `call` from an idle device to an idle device, as a robot's control loop would feel it.

    Args:
        call: everything it needs lies on the device already.
        calls: timed, after a tenth as many that are not.
        budget_s: fewer are timed if they would take longer than this, but at least 5.
    """
    first_s = [_once(call, device) for _ in range(max(2, calls // 10))][-1]
    calls = max(5, min(calls, int(budget_s / max(first_s, 1e-6))))
    times_s = np.array([_once(call, device) for _ in range(calls)])
    return Latency(float(np.median(times_s)), float(np.quantile(times_s, 0.99)), calls)


def _once(call: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    started_s = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - started_s


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
