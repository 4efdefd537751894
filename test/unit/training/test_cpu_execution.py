"""How a run is computed is asked for, kept, or measured; and whatever it is, the losses are those of float32.

pytest test/unit/training/test_cpu_execution.py
"""

import numpy as np
import pytest
import torch
from rich.console import Console

from dial_core.jobs.workers import JobResult
from dial_core.training import cpu_execution as execution
from dial_core.training.cpu_execution import CpuExecution, Wish, choose_execution, kept_execution
from dial_core.training.optimisation import Optimisation
from dial_core.training.probe import Workload, make_step, stepper

from .test_processes import narrow_architecture

LONG = 10_000  # [steps] of a run that is worth a measurement


@pytest.fixture
def workload() -> Workload:
    return Workload(narrow_architecture(), samples=4)


@pytest.fixture
def measured(monkeypatch):
    """The times of a machine on which two processes pay, bfloat16 does not, and compiling does; every probe is noted."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(execution, "_process_counts", lambda samples: [1, 2])
    monkeypatch.setattr(execution, "_has_bfloat16", lambda: True)
    probes = []

    def seconds(count: int, precision: str, compiled: bool) -> float:
        return (0.6 if count == 1 else 0.4) * (2 if precision == "bfloat16" else 1) * (0.8 if compiled else 1)

    def run_jobs(function, jobs, workers):
        probes.extend(jobs)
        return [JobResult(job, [seconds(job.count, *way) for way in job.ways]) for job in jobs]

    monkeypatch.setattr(execution, "run_jobs", run_jobs)
    return probes


def chosen(wish: Wish, workload: Workload, steps: int, out) -> CpuExecution:
    return choose_execution(wish, workload, steps, out, Console(quiet=True))


def test_the_fastest_way_is_measured_kept_and_taken_again(workload, measured, tmp_path):
    best = chosen(Wish(), workload, LONG, tmp_path)
    assert best == CpuExecution(processes=2, precision="float32", compiled=True)
    assert {(probe.count, probe.workload.samples) for probe in measured} == {(1, 4), (2, 2), (1, 2)}
    measured.clear()
    assert chosen(Wish(), workload, LONG, tmp_path) == best == kept_execution(tmp_path)
    assert kept_execution(tmp_path, Wish(precision="float32")) == best.model_copy(update={"precision": "float32"})
    assert not measured


def test_what_is_asked_for_is_not_measured(workload, measured, tmp_path):
    assert chosen(Wish(processes=1, compiled=False), workload, LONG, tmp_path) == CpuExecution(precision="float32")
    assert {probe.count for probe in measured} == {1}
    assert chosen(Wish(precision="bfloat16"), workload, LONG, tmp_path) == CpuExecution(precision="bfloat16")


def test_a_short_run_is_not_measured_and_a_long_one_compiled_only_if_that_pays(workload, measured, tmp_path):
    assert chosen(Wish(), workload, 20, tmp_path / "short") == CpuExecution()
    assert not measured
    assert not chosen(Wish(), workload, 300, tmp_path / "longer").compiled


@pytest.mark.slow
def test_two_processes_measure_a_step_together(workload, monkeypatch):
    monkeypatch.setattr(execution, "_WINDOW_S", 0.1)
    times: dict[CpuExecution, float] = {}
    execution._time(times, workload, [CpuExecution(processes=2, precision="float32")])
    assert next(iter(times.values())) > 0


def test_losses_of_200_steps_in_bfloat16_are_within_2_per_cent_of_float32(workload):
    assert losses("bfloat16", 200, workload) == pytest.approx(losses("float32", 200, workload), rel=0.02)


@pytest.mark.slow  # a minute of compiling if nothing is cached
def test_compiled_blocks_give_the_same_losses(workload):
    plain, compiled = losses("float32", 3, workload), losses("float32", 3, workload, compiled=True)
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)


def losses(precision: str, steps: int, workload: Workload, compiled: bool = False) -> list[float]:
    """Losses on one batch, at a rate at which a third of the loss is learned within 200 steps."""
    torch.manual_seed(0)
    model, batch = make_step(workload)
    if compiled:
        model.compile_blocks()
    seen: list[float] = []
    model.register_forward_hook(lambda module, inputs, output: seen.append(float(output.loss.detach())))
    step = stepper(model, batch, precision, Optimisation(steps=steps, batch_size=workload.samples, learning_rate=3e-4))
    for _ in range(steps):
        step()
    return seen
