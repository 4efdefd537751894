import json

import pytest
import torch

from dial_core.benchmarks import model_calls
from dial_core.benchmarks.device import Roofline
from dial_core.benchmarks.model_calls import bench_model
from dial_core.benchmarks.random_policy import random_model
from dial_core.benchmarks.workload import parts_of
from dial_core.errors import DialError
from dial_core.inference.ready import ready_to_infer
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel


def test_the_full_size_has_the_floors_of_the_design_without_a_device():
    report = bench_model("qwen2_5_vl_3b", "meta")
    floors_ms = {row.part: 1e3 * row.floor_s for row in report.rows}
    assert floors_ms["vision"] == pytest.approx(0.43, abs=0.02)
    assert floors_ms["language"] == pytest.approx(1.29, abs=0.03)
    assert floors_ms["System-2"] == pytest.approx(1.71, abs=0.1)
    assert floors_ms["System-1"] == pytest.approx(1.31, abs=0.1)
    assert all(row.median_s is None for row in report.rows)


def test_the_tiny_model_is_measured_on_the_cpu():
    report = bench_model("dial_tiny", "cpu", calls=5)
    rows = {row.part: row for row in report.rows}
    assert list(rows) == ["vision", "language", "System-2", "fusion", "decoder", "System-1"]
    assert all(row.floor_s > 0 and row.median_s <= row.p99_s for row in report.rows)
    assert rows["System-2"].parameters == rows["vision"].parameters + rows["language"].parameters
    assert json.loads(report.to_json())["rows"][0]["part"] == "vision"


def test_a_model_has_its_memory_in_the_dtype_of_the_run_from_the_start(monkeypatch):
    """Made in float32 on the device and then converted, it takes twice as much there."""
    made = []

    def recorded(model, *arguments):
        made.append(({parameter.dtype for parameter in model.parameters()}, {buffer.dtype for buffer in model.buffers()}))
        return ready_to_infer(model, *arguments)

    monkeypatch.setattr(model_calls, "ready_to_infer", recorded)
    bench_model("dial_tiny", "cpu", "bfloat16", calls=5)
    assert made == [({torch.bfloat16}, {torch.float32})]


@pytest.mark.parametrize("preset", ["dial_tiny", "dial_tiny_dino"])
@pytest.mark.parametrize("part", ["whole", "system1", "system2"])
def test_every_weight_and_table_of_a_random_model_has_the_values_of_a_fresh_one(preset, part):
    config = DialConfig.from_preset(preset)
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills memory that nobody has written with NaN
    try:
        model = random_model(config.arch, torch.device("cpu"), torch.float32, part)
    finally:
        torch.use_deterministic_algorithms(False)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        fresh = DialModel(config, part)
    assert dict(model.named_buffers()).keys() == dict(fresh.named_buffers()).keys()
    for name, buffer in fresh.named_buffers():
        torch.testing.assert_close(model.get_buffer(name), buffer, rtol=0, atol=0)
    for name, parameter in fresh.named_parameters():
        ours = model.get_parameter(name)
        assert torch.isfinite(ours).all(), name
        assert (ours.shape, ours.requires_grad) == (parameter.shape, parameter.requires_grad)
        if parameter.numel() > 1000:
            torch.testing.assert_close(ours.std(), parameter.std(), rtol=0.2, atol=1e-6)


def test_a_matrix_product_is_counted_right():
    part = parts_of(DialModel.without_weights(DialConfig.from_preset("dial_tiny").arch), flow_steps=4)["fusion"]
    tokens, width = 72, 192
    products = 2 * 2 * tokens * width * (4 * width + 8 * width)  # two blocks: attention's four maps, two of the feed-forward
    scores = 2 * 2 * 2 * tokens * tokens * width
    assert part.flops() == products + scores


def test_more_flow_steps_read_the_decoder_more_often_but_the_rest_once():
    model = DialModel.without_weights(DialConfig.from_preset("dial_tiny").arch)
    one, four = (parts_of(model, steps)["decoder"].reads for steps in (1, 4))
    assert one < four < 4 * one


def test_a_call_is_bound_by_memory_or_by_arithmetic():
    roofline = Roofline("card", bytes_per_s=10.0, flops_per_s=100.0, source="table")
    assert roofline.floor_s(20.0, 50.0) == 2.0
    assert roofline.floor_s(1.0, 500.0) == 5.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_missing_gpu_is_reported_with_what_works_instead():
    with pytest.raises(DialError, match="--device meta"):
        bench_model("dial_tiny", "cuda")
