"""The checks of `dial bench gpu`, run on the CPU with the tiny model. pytest test/unit/benchmarks/test_gpu.py"""

import json
import time

import numpy as np
import pytest
import torch

from dial_core.benchmarks import both_systems, gpu_checks, gpu_report, gpu_sessions
from dial_core.benchmarks.gpu_checks import CHECKS, CheckFailedError, GpuCheck
from dial_core.benchmarks.gpu_report import CheckResult, answer_of, page, run_checks
from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference import system1_session, system2_session
from dial_core.inference.cuda_graph import Recording
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.training import trainer
from dial_core.training.optimisation import Optimisation

CPU = torch.device("cpu")


def test_sessions_agree_between_precisions_and_ways_to_launch():
    facts = gpu_checks.sessions(CPU, "dial_tiny")
    assert facts["captured_vs_launched_max"] == 0
    assert facts["float32_vs_cpu_max"] == 0
    assert 0 < facts["bfloat16_vs_float32_chunk_rms"] < 0.1


def test_the_sessions_that_are_compared_are_those_of_the_preset():
    expected = DialModel.without_weights(DialConfig.from_preset("dial_tiny_dino").arch).num_parameters()
    assert gpu_checks.sessions(CPU, "dial_tiny_dino")["parameters"] == expected > 9e6


def test_both_systems_are_timed_at_once_in_a_process_each(monkeypatch):
    monkeypatch.setitem(both_systems.DURATIONS_S, "cpu", 0.5)
    rows = CHECKS["together"].run(CPU, "dial_tiny")
    assert list(rows) == ["System-2", "System-1"]
    assert [row["period_ms"] for row in rows.values()] == pytest.approx([250, 1000 / 6.7])
    for row in rows.values():
        assert row["calls"] >= 1
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["memory_GB"] > 0.1


@pytest.mark.parametrize(("call_s", "calls", "late"), [(0.1, 4, 0), (0.3, 2, 2), (0.6, 2, 2)])
def test_a_call_that_is_due_while_another_runs_is_left_out(monkeypatch, call_s, calls, late):
    now_s = [0.0]

    def passes(seconds):
        now_s[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])
    monkeypatch.setattr(time, "sleep", passes)
    row = both_systems.at_rate(lambda: passes(call_s), 0.25, 1.0)
    assert (row["calls"], row["late"]) == (calls, late)
    assert row["p50_ms"] == pytest.approx(1000 * call_s)


def test_a_capture_that_replays_old_inputs_fails_the_check(monkeypatch):
    def stale(function, inputs):
        return Recording(inputs, lambda: None, function(*inputs))

    for module in (system1_session, system2_session):
        monkeypatch.setattr(module, "recorder_for", lambda device, capture: stale if capture else None)
    with pytest.raises(CheckFailedError, match="results differ"):
        gpu_checks.sessions(CPU, "dial_tiny")


@pytest.mark.parametrize("idle", ["system1_captures", "system2_captures"])
def test_a_session_that_captured_nothing_fails_the_check(idle):
    facts = {"captured_vs_launched_max": 0.0, "float32_vs_cpu_max": 0.0, "system1_captures": 1, "system2_captures": 3}
    gpu_sessions.require_agreement(facts, captured=True)
    with pytest.raises(CheckFailedError, match="captured nothing"):
        gpu_sessions.require_agreement(facts | {idle: 0}, captured=True)


def test_the_conditions_of_committed_chunks_have_to_be_captured_too(monkeypatch, tmp_path):
    def recorder(function, inputs):
        return Recording(inputs, lambda: None, function(*inputs))

    monkeypatch.setattr(system1_session, "recorder_for", lambda device, capture: recorder if capture else None)
    make_random_checkpoint(tmp_path)
    session = system1_session.System1Session(load_checkpoint(tmp_path))
    image, zeros = np.zeros((session.contract.height, session.contract.width, 3), np.uint8), np.zeros
    inputs = image, zeros(session.contract.foresight_shape, np.float32), zeros(session.contract.state_dim, np.float32)
    chunk = session.chunk(*inputs)
    assert gpu_sessions.session_captures(session) == 0
    session.chunk(*inputs, Committed(chunk, np.ones(len(chunk), np.float32)))
    assert gpu_sessions.session_captures(session) == 1


def test_training_configurations_that_the_time_does_not_allow_are_named(monkeypatch):
    monkeypatch.setattr(gpu_checks, "TRAINING_BUDGET_S", -1.0)
    rows = gpu_checks.training_step(CPU, "dial_tiny")["rows"]
    assert len(rows) == 4
    assert all("left out" in row["result"] for row in rows)


def test_resuming_is_compared_without_attention_kernels_that_add_in_any_order(monkeypatch):
    fused = []

    def without_training(*_):
        backends = torch.backends.cuda
        fused.extend([backends.flash_sdp_enabled(), backends.mem_efficient_sdp_enabled(), backends.cudnn_sdp_enabled()])
        return {"weight": torch.zeros(1)}

    monkeypatch.setattr(trainer, "run_training", without_training)
    gpu_checks.exact_resume(CPU, "dial_tiny")
    assert len(fused) == 6
    assert not any(fused)


def test_a_training_step_is_timed_with_and_without_recomputation(monkeypatch):
    monkeypatch.setitem(gpu_checks.MICRO_BATCHES, "cpu", (1,))
    rows = gpu_checks.training_step(CPU, "dial_tiny")["rows"]
    assert [row["recomputation"] for row in rows] == [False, True]
    assert "MFU" in rows[0]
    assert "HFU" in rows[1]
    assert rows[1]["estimate_GB"] < rows[0]["estimate_GB"]


def test_the_operations_of_a_step_are_counted_at_full_size_without_memory():
    plan = Optimisation(steps=1, batch_size=8, learning_rate=1e-5)
    plain = gpu_checks.training_flops("qwen2_5_vl_3b", plan)
    recomputed = gpu_checks.training_flops("qwen2_5_vl_3b", plan.model_copy(update={"gradient_checkpointing": True}))
    language = 2 * 2.775e9 * 158 * 8  # of the language model's weights, forward, 158 tokens
    assert 3 * language < plain < 4.5 * language  # backward twice as much; vision, fusion and decoder on top
    # Recomputing a layer stops before its last product, 29 % of the layer's weights.
    assert recomputed - plain == pytest.approx(0.71 * language, rel=0.1)


def test_a_step_is_measured_with_frozen_weights_as_training_keeps_them():
    model = DialModel.from_preset("dial_tiny")
    gpu_checks.keep_frozen_as_published(model)
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_two_processes_on_one_device_train_as_one():
    facts = gpu_checks.two_processes(CPU, "dial_tiny")
    assert facts["backend"] == "gloo"
    assert facts["relative_difference"] < 1e-5


def test_the_checks_together_take_nine_minutes_at_most():
    assert sum(check.limit_s for check in CHECKS.values()) <= 540


def test_an_interrupted_run_ends_with_the_same_weights():
    assert gpu_checks.exact_resume(CPU, "dial_tiny")["largest_difference"] == 0


def test_a_resumed_run_that_does_not_restore_the_generators_fails_the_check(monkeypatch):
    monkeypatch.setattr(trainer.DialTrainer, "_load_rng_state", lambda self, checkpoint: None)
    with pytest.raises(CheckFailedError, match="from an uninterrupted one"):
        gpu_checks.exact_resume(CPU, "dial_tiny")


def test_each_check_runs_in_a_process_and_a_crash_costs_its_own_row_only(monkeypatch, tmp_path):
    monkeypatch.setitem(CHECKS, "nowhere", GpuCheck("nowhere", "a check that the other process does not have", lambda *_: {}, 1.0))
    results = run_checks(["device", "nowhere"], "cpu", "dial_tiny", tmp_path)
    assert [result.outcome for result in results] == ["passed", "broken"]
    assert "KeyError" in results[1].reason
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["results"][0]["facts"]["GB/s"] > 0
    assert "| nowhere |" in (tmp_path / "gpu.md").read_text()


def test_what_needs_two_devices_is_skipped_with_the_reason():
    assert answer_of(CHECKS["second_device"], "cpu", "dial_tiny") == {"outcome": "skipped", "reason": "needs two CUDA devices"}


def test_a_failed_check_says_what_does_not_hold():
    def fails(*_):
        raise CheckFailedError("weights differ by 1")

    assert answer_of(GpuCheck("x", "", fails, 1.0), "cpu", "dial_tiny") == {"outcome": "failed", "reason": "weights differ by 1"}


def test_rows_become_a_table():
    text = page([CheckResult("training", "passed", 1.0, {"rows": [{"a": 1.0}, {"a": 2.0, "b": "x"}]})], "cuda", "dial_tiny")
    assert "| a | b |" in text
    assert "| 2 | x |" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_it_says_how_to_try_the_checks(tmp_path):
    with pytest.raises(DialError, match="--device cpu --preset dial_tiny"):
        run_checks([], "cuda", "qwen2_5_vl_3b", tmp_path)
    with pytest.raises(DialError, match="sessions"):
        gpu_report.run_checks(["typo"], "cpu", "dial_tiny", tmp_path)
