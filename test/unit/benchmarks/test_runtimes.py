"""Times of runtimes: waiting counts as wall time only, and rows say how many times as fast as the first they are.

pytest test/unit/benchmarks/test_runtimes.py
"""

import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dial_core.benchmarks import runtimes
from dial_core.cli import app
from dial_core.errors import DialError


def test_waiting_is_wall_time_but_no_processor_time(monkeypatch):
    clock = {"wall": 0.0, "processor": 0.0}

    def computes(seconds, waits=0.0):
        clock["processor"] += seconds
        clock["wall"] += seconds + waits

    monkeypatch.setattr(time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(time, "process_time", lambda: clock["processor"])
    two_sessions = {"System-2": [lambda: computes(0.02, waits=0.06), lambda: computes(0.01)]}
    monkeypatch.setattr(runtimes, "_sessions", lambda *_: two_sessions)
    eager, exported = runtimes.bench_runtimes("any", ["eager", "exported"], calls=5)
    assert (eager.median_ms, eager.processor_ms) == pytest.approx((80, 20))
    assert (exported.median_ms, exported.processor_ms) == pytest.approx((10, 10))
    assert (exported.speedup, exported.processor_speedup) == pytest.approx((8, 2))
    cells = [list(column.cells) for column in runtimes.table_of_runtimes([eager, exported], "any").columns]
    assert cells[-2:] == [["20.00", "10.00"], ["1.00x", "2.00x"]]


@pytest.mark.parametrize(
    ("runtime", "device", "why"),
    [
        ("eager", f"cuda:{torch.cuda.device_count()}", "PyTorch finds .* GPUs"),
        ("eager", "meta", "do not run on device 'meta'"),
        ("tensorrt-bf16", "cpu", "set device cuda"),
    ],
)
def test_a_device_that_sessions_cannot_be_timed_on_is_refused(random_checkpoint, runtime, device, why):
    with pytest.raises(DialError, match=why):
        runtimes.bench_runtimes(str(random_checkpoint), [runtime], 5, 4, device)


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.float32), ("cuda:1", torch.bfloat16)])
def test_the_sessions_that_are_timed_run_on_the_device_that_was_asked_for(random_checkpoint, monkeypatch, device, dtype):
    asked, load = [], runtimes.load_checkpoint

    def loaded(folder, **options):
        asked.append(options["dtype"])
        return load(folder, **options)

    def session(checkpoint, device, **options):
        asked.append((device, options["runtime"]))

    monkeypatch.setattr(runtimes, "require_device", lambda _: None)
    monkeypatch.setattr(runtimes, "load_checkpoint", loaded)
    monkeypatch.setattr(runtimes, "System2Session", session)
    monkeypatch.setattr(runtimes, "System1Session", session)
    monkeypatch.setattr(runtimes, "_in_turns", lambda functions, calls: np.ones((2, len(functions), calls)))
    runtimes.bench_runtimes(str(random_checkpoint), ["eager"], 5, 4, device)
    assert asked == [dtype, (device, "eager"), (device, "eager")]


@pytest.mark.parametrize(
    ("options", "why"),
    [(["--device", "meta"], "do not run on device 'meta'"), (["--dtype", "bfloat16"], "leave it out with --runtime")],
)
def test_the_command_drops_no_option_that_it_is_given_beside_runtimes(random_checkpoint, options, why):
    result = CliRunner().invoke(app, ["bench", "model", "--runtime", "eager", "--checkpoint", str(random_checkpoint), *options])
    assert isinstance(result.exception, DialError)
    assert why in str(result.exception)
