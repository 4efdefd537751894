"""Both systems at once, as on a robot: a process each, at the nodes' rates, on one device. Alone each has the device for itself."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
import torch
from torch import multiprocessing

from dial_core.benchmarks.random_policy import random_policy
from dial_core.inference.ready import dtype_of
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.warm_up import warm_up_system1

RATES_HZ = {2: 4.0, 1: 6.7}  # of the nodes, by system
DURATIONS_S = {"cuda": 10.0, "cpu": 3.0}  # of the calls, by kind of device
START_S = 60.0  # the longest that a process waits for the other one's model
WORDS = "put the red can on the plate"
GIGABYTE = 1e9


@dataclass(frozen=True)
class Together:
    """How both processes run; `barrier` holds them until both models are warm, `answers` takes what each measured."""

    device: str
    preset: str
    duration_s: float
    barrier: Barrier
    answers: SimpleQueue


def together(device: torch.device, preset: str) -> dict[str, dict[str, Any]]:
    """Latencies and memory of System-2 at 4 Hz beside System-1 at 6.7 Hz, by system, with random weights and without ROS.

    `p50_ms` and `p99_ms` are of whole calls, numpy to numpy; `period_ms` is what a call may take, and `late` counts those that took
    longer, whose next one was left out. `memory_GB` is the most that the process held on the device, on a CPU all of its memory;
    `device_memory_GB` is what all processes held at the end, the libraries' contexts included.

    Raises:
        ProcessRaisedException: one of the processes failed; the message has its traceback.
    """
    context = multiprocessing.get_context("spawn")
    run = Together(str(device), preset, DURATIONS_S[device.type], context.Barrier(len(RATES_HZ)), context.SimpleQueue())
    multiprocessing.spawn(_one_system, (run,), len(RATES_HZ))
    rows = dict(run.answers.get() for _ in RATES_HZ)
    return {f"System-{system}": rows[system] for system in RATES_HZ}


def _one_system(place: int, run: Together) -> None:
    """One of the processes."""
    torch.set_num_threads(1)  # as the nodes
    system, device = list(RATES_HZ)[place], torch.device(run.device)
    call = _warm_call(system, device, run.preset)
    run.barrier.wait(START_S)
    row = at_rate(call, 1.0 / RATES_HZ[system], run.duration_s)
    run.barrier.wait(START_S)  # both are still there
    row |= _memory(device)
    run.barrier.wait(START_S)
    run.answers.put((system, row))


def _warm_call(system: int, device: torch.device, preset: str) -> Callable[[], Any]:
    """A call of a session that has allocated and, on CUDA, captured all that it needs."""
    policy = random_policy(preset, device, dtype_of("auto", device), "system2" if system == 2 else "system1")
    contract, rng = policy.contract, np.random.default_rng(0)
    image = rng.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8)
    state = np.zeros(contract.state_dim, np.float32)
    if system == 2:
        system2 = System2Session(policy, str(device))
        system2.foresight(image, WORDS)
        return lambda: system2.foresight(image, WORDS)
    system1, foresight = System1Session(policy, str(device)), rng.standard_normal(contract.foresight_shape).astype(np.float32)
    warm_up_system1(system1, state, committing=False)
    return lambda: system1.chunk(image, foresight, state)


def at_rate(call: Callable[[], Any], period_s: float, duration_s: float) -> dict[str, Any]:
    """Calls at a rate, as a camera's frames come: one that is due while another still runs is left out."""
    latencies_s, started_s, due_s, late = [], time.perf_counter(), time.perf_counter(), 0
    while due_s < started_s + duration_s:
        time.sleep(max(0.0, due_s - time.perf_counter()))
        begun_s = time.perf_counter()
        call()
        now_s = time.perf_counter()
        latencies_s.append(now_s - begun_s)
        due_s += period_s
        if now_s > due_s:
            late += 1
            due_s += period_s * ((now_s - due_s) // period_s + 1)
    p50_s, p99_s = np.quantile(latencies_s, (0.5, 0.99))
    facts = {"calls": len(latencies_s), "period_ms": 1e3 * period_s, "p50_ms": 1e3 * float(p50_s), "p99_ms": 1e3 * float(p99_s)}
    return facts | {"late": late}


def _memory(device: torch.device) -> dict[str, float]:
    if device.type != "cuda":
        return {"memory_GB": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE}
    free, total = torch.cuda.mem_get_info(device)
    return {"memory_GB": torch.cuda.max_memory_reserved(device) / GIGABYTE, "device_memory_GB": (total - free) / GIGABYTE}
