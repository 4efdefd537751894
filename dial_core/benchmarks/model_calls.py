"""`dial bench model`: both systems and their parts against the roofline of the device."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import torch
from rich.table import Table

from dial_core.benchmarks.device import Roofline, roofline_of
from dial_core.benchmarks.random_policy import random_model
from dial_core.benchmarks.timing import latency_of
from dial_core.benchmarks.workload import TimedCall, parts_of
from dial_core.errors import DialError
from dial_core.inference.cuda_graph import Captured, recorder_for
from dial_core.inference.ready import ready_to_infer
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class CallRow:
    """One part. `median_s` and `p99_s` are None where nothing was measured (the meta device). `captured`: whether it was one graph."""

    part: str
    parameters: int
    flops: float
    reads_bytes: float
    floor_s: float
    median_s: float | None = None
    p99_s: float | None = None
    captured: bool = False

    @property
    def share_of_floor(self) -> float:
        """1 would be as fast as the device allows."""
        assert self.median_s is not None
        return self.floor_s / self.median_s


@dataclass(frozen=True)
class ModelReport:
    """All rows of one run, and what they were measured on."""

    preset: str
    device: str
    dtype: str
    flow_steps: int
    roofline: Roofline
    rows: list[CallRow]

    def to_json(self) -> str:
        """One line that holds everything."""
        return json.dumps(asdict(self))


def bench_model(preset: str, device_name: str = "cpu", dtype_name: str = "", flow_steps: int = 4, calls: int = 100) -> ModelReport:
    """Measures a preset with random weights at batch 1; on the device `meta` it is only counted.

    On CUDA every part is one captured graph. On a CPU torch's threads are what OMP_NUM_THREADS says, one by default.

    Raises:
        DialError: unknown preset, device or dtype.
    """
    device = _device(device_name)
    dtype_name = dtype_name or ("float32" if device.type == "cpu" else "bfloat16")
    if dtype_name not in DTYPES:
        raise DialError(f"unknown dtype '{dtype_name}'; dtypes: {', '.join(DTYPES)}")
    model = ready_to_infer(random_model(DialConfig.from_preset(preset).arch, device, DTYPES[dtype_name]), device, DTYPES[dtype_name])
    roofline = roofline_of(device, DTYPES[dtype_name])
    parts = parts_of(model, flow_steps)
    bare = parts if device.type == "meta" else parts_of(DialModel.without_weights(model.arch), flow_steps)
    counted = {name: part.flops() for name, part in bare.items()}
    rows: dict[str, CallRow] = {}
    for name, part in parts.items():
        size_bytes = part.reads * DTYPES[dtype_name].itemsize
        # The steps of a system wait for each other, so their floors add up.
        floors_s = [rows[step].floor_s for step in part.steps] or [roofline.floor_s(size_bytes, counted[name])]
        row = CallRow(name, part.parameters, counted[name], size_bytes, sum(floors_s))
        rows[name] = row if device.type == "meta" else _measured(row, part, device, calls)
    return ModelReport(preset, roofline.name, dtype_name, flow_steps, roofline, list(rows.values()))


def table_of(report: ModelReport) -> Table:
    """The report for people: ms, floor, per cent of it, achieved GB/s and TFLOP/s beside each other."""
    title = f"{report.preset}, batch 1, {report.dtype}, {report.flow_steps} Euler steps: {report.device}"
    table = Table("call", title=title)
    for column in ("parameters", "GFLOP", "weights read", "floor ms", "median ms", "p99 ms", "of floor", "GB/s", "TFLOP/s"):
        table.add_column(column, justify="right")
    for row in report.rows:
        measured = ["-"] * 5
        if row.median_s is not None and row.p99_s is not None:
            times = [f"{1e3 * row.median_s:.2f}", f"{1e3 * row.p99_s:.2f}", f"{row.share_of_floor:.0%}"]
            measured = [*times, f"{row.reads_bytes / row.median_s / 1e9:.1f}", f"{row.flops / row.median_s / 1e12:.3f}"]
        size = f"{row.reads_bytes / 1e6:,.0f} MB"
        table.add_row(row.part, f"{row.parameters / 1e6:,.1f} M", f"{row.flops / 1e9:,.1f}", size, f"{1e3 * row.floor_s:.2f}", *measured)
    return table


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DialError(f"unknown device '{name}'; devices: cpu, cuda, meta") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DialError("there is no CUDA device here; `--device meta` counts without measuring, `--device cpu` measures")
    return device


def _measured(row: CallRow, part: TimedCall, device: torch.device, calls: int) -> CallRow:
    function = Captured(part.function, recorder_for(device))
    latency = latency_of(lambda: function(*part.inputs), device, calls)
    return replace(row, median_s=latency.median_s, p99_s=latency.p99_s, captured=len(function) > 0)
