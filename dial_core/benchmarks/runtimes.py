"""`dial bench model --runtime`: a checkpoint's sessions eager and as exported programs, timed in turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.table import Table

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.inference.programs import Runtime, require_runtime
from dial_core.inference.sessions import System1Session, System2Session

INSTRUCTION = "put the can on the plate"


@dataclass(frozen=True)
class RuntimeRow:
    """One system in one runtime; `speedup` against the first runtime, of the same turns."""

    system: str
    runtime: str
    median_ms: float
    p99_ms: float
    speedup: float


def bench_runtimes(folder: str, runtimes: Sequence[str], calls: int = 100, flow_steps: int = 4) -> list[RuntimeRow]:
    """Times both systems of a checkpoint in each runtime, call by call in turns, so that what else the machine does hits all alike.

    Raises:
        DialError: an unknown runtime, or a program that has not been exported.
    """
    for runtime in runtimes:
        require_runtime(runtime, torch.device("cpu"))
    rows = []
    for system, sessions in _sessions(folder, [_as_runtime(name) for name in runtimes], flow_steps).items():
        times_ms = _in_turns(sessions, calls)
        medians = np.median(times_ms, axis=1)
        for name, times, median_ms in zip(runtimes, times_ms, medians, strict=True):
            rows.append(RuntimeRow(system, name, float(median_ms), float(np.quantile(times, 0.99)), float(medians[0] / median_ms)))
    return rows


def table_of_runtimes(rows: Sequence[RuntimeRow], folder: str) -> Table:
    """The rows for people."""
    table = Table("system", "runtime", "median ms", "p99 ms", "faster", title=f"{folder}, batch 1, {torch.get_num_threads()} thread")
    for row in rows:
        table.add_row(row.system, row.runtime, f"{row.median_ms:.2f}", f"{row.p99_ms:.2f}", f"{row.speedup:.2f}x")
    return table


def _as_runtime(name: str) -> Runtime:
    return name  # type: ignore[return-value]  # `require_runtime` has checked it


def _sessions(folder: str, runtimes: Sequence[Runtime], flow_steps: int) -> dict[str, list[Callable[[], object]]]:
    """System -> one call of it for each runtime."""
    checkpoint, rng = load_checkpoint(folder), np.random.default_rng(0)
    contract = checkpoint.contract
    images = tuple(rng.integers(0, 256, (view.height, view.width, 3), np.uint8) for view in contract.views)
    foresight = rng.normal(0.0, 1.0, contract.foresight_shape).astype(np.float32)
    state = np.zeros(contract.state_dim, np.float32)
    thinking = [System2Session(checkpoint, runtime=runtime) for runtime in runtimes]
    acting = [System1Session(checkpoint, flow_steps=flow_steps, runtime=runtime) for runtime in runtimes]
    return {
        "System-2": [lambda session=session: session.foresight(images[0], INSTRUCTION) for session in thinking],  # type: ignore[misc]
        "System-1": [lambda session=session: session.chunk(images, foresight, state) for session in acting],  # type: ignore[misc]
    }


def _in_turns(functions: Sequence[Callable[[], object]], calls: int) -> np.ndarray:
    """Times (functions, calls) [ms]; a tenth as many calls go before, untimed."""
    for function in functions:
        for _ in range(max(2, calls // 10)):
            function()
    times_ms = np.empty((len(functions), calls))
    for turn in range(calls):
        for place, function in enumerate(functions):
            started_s = time.perf_counter()
            function()
            times_ms[place, turn] = 1e3 * (time.perf_counter() - started_s)
    return times_ms
