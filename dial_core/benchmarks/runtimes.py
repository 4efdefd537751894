"""`dial bench model --runtime`: times a checkpoint's sessions in several runtimes, in turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.table import Table

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.errors import DialError
from dial_core.inference.programs import Runtime, runtime_for
from dial_core.inference.ready import dtype_of, require_device
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session

INSTRUCTION = "put the can on the plate"


@dataclass(frozen=True)
class RuntimeRow:
    """Times of one system in one runtime.

    Attributes:
        lowest_ms: the 10 % quantile, which other load on the machine hardly changes.
        speedup: median over the turns of the first runtime's time divided by this one's.
        processor_ms: median of the processor time, in which waiting for other work on the machine does not count.
        processor_speedup: as `speedup`, of processor times.
    """

    system: str
    runtime: str
    median_ms: float
    lowest_ms: float
    p99_ms: float
    speedup: float
    processor_ms: float
    processor_speedup: float


def bench_runtimes(
    folder: str, runtimes: Sequence[str], calls: int = 100, flow_steps: int = 4, device_name: str = "cpu"
) -> list[RuntimeRow]:
    """Times both systems of a checkpoint in each runtime, call by call in turns, so that other load on the machine affects all alike.

    A call begins and ends on the CPU with numpy arrays, as in a node; on CUDA it is over when its result has arrived there.

    Raises:
        DialError: an unknown runtime or device, a runtime that does not run on it, or a program that has not been exported.
    """
    require_device(device_name)
    device = torch.device(device_name)
    if device.type not in ("cpu", "cuda"):
        raise DialError(f"--runtime times sessions, which do not run on device '{device_name}'; choose cpu, cuda or cuda:N")
    chosen = [runtime_for(name, device) for name in runtimes]
    rows = []
    for system, sessions in _sessions(folder, chosen, flow_steps, device).items():
        wall_ms, processor_ms = _in_turns(sessions, calls)
        for place, name in enumerate(runtimes):
            lowest, median, p99 = map(float, np.quantile(wall_ms[place], (0.1, 0.5, 0.99)))
            processor = float(np.median(processor_ms[place])), _speedup(processor_ms, place)
            rows.append(RuntimeRow(system, name, median, lowest, p99, _speedup(wall_ms, place), *processor))
    return rows


def table_of_runtimes(rows: Sequence[RuntimeRow], folder: str, device_name: str = "cpu") -> Table:
    """The rows as a table."""
    title = f"{folder}, batch 1, {device_name}, {torch.get_num_threads()} thread(s)"
    table = Table("system", "runtime", "median ms", "10 % ms", "p99 ms", "faster", "CPU ms", "faster", title=title)
    for row in rows:
        times = (f"{time_ms:.2f}" for time_ms in (row.median_ms, row.lowest_ms, row.p99_ms))
        processor = f"{row.processor_ms:.2f}", f"{row.processor_speedup:.2f}x"
        table.add_row(row.system, row.runtime, *times, f"{row.speedup:.2f}x", *processor)
    return table


def _speedup(times_ms: np.ndarray, place: int) -> float:
    """Median over the turns of the first row's time divided by that of row `place`."""
    return float(np.median(times_ms[0] / times_ms[place]))


def _sessions(folder: str, runtimes: Sequence[Runtime], flow_steps: int, device: torch.device) -> dict[str, list[Callable[[], object]]]:
    """System -> one call of it for each runtime."""
    checkpoint, rng = load_checkpoint(folder, dtype=dtype_of("auto", device)), np.random.default_rng(0)
    contract = checkpoint.contract
    images = tuple(rng.integers(0, 256, (view.height, view.width, 3), np.uint8) for view in contract.views)
    foresight = rng.normal(0.0, 1.0, contract.foresight_shape).astype(np.float32)
    state = np.zeros(contract.state_dim, np.float32)
    thinking = [System2Session(checkpoint, str(device), runtime=runtime) for runtime in runtimes]
    acting = [System1Session(checkpoint, str(device), flow_steps=flow_steps, runtime=runtime) for runtime in runtimes]
    return {
        "System-2": [lambda session=session: session.foresight(images[0], INSTRUCTION) for session in thinking],  # type: ignore[misc]
        "System-1": [lambda session=session: session.chunk(images, foresight, state) for session in acting],  # type: ignore[misc]
    }


def _in_turns(functions: Sequence[Callable[[], object]], calls: int) -> tuple[np.ndarray, np.ndarray]:
    """Wall times and processor times (functions, calls) [ms]; a tenth as many calls go before, untimed."""
    for function in functions:
        for _ in range(max(2, calls // 10)):
            function()
    times_ms = np.empty((2, len(functions), calls))
    for turn in range(calls):
        for place, function in enumerate(functions):
            started_s = time.perf_counter(), time.process_time()
            function()
            times_ms[:, place, turn] = 1e3 * (time.perf_counter() - started_s[0]), 1e3 * (time.process_time() - started_s[1])
    return times_ms[0], times_ms[1]
