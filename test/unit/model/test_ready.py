"""A model made ready to infer computes what it computed before."""

import threading
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dial_core.benchmarks.workload import parts_of
from dial_core.inference.ready import dtype_of, ready_to_infer
from dial_core.model.attention import gelu_tanh
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel

THREADS = 4
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def chunk(model: DialModel, batch) -> torch.Tensor:
    """From pixels and prompt to actions, gradients off."""
    noise = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(2))
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        view = model.encode_image(images)
        foresight = model.foresight(view, batch.input_ids, batch.attention_mask)
        state = batch.state.to(view.dtype)
        return model.sample_chunk(model.condition(foresight, view), state, noise)


def test_a_ready_model_computes_the_same_and_saves_the_same(small_model, batch, tmp_path):
    before = deepcopy(small_model).eval()
    ready = ready_to_infer(small_model, CPU, torch.float32)
    torch.testing.assert_close(chunk(ready, batch), chunk(before, batch), atol=1e-5, rtol=0)
    ready.save_pretrained(tmp_path)
    stored = DialModel.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(stored[name], value) for name, value in before.state_dict().items())


def test_bfloat16_converts_weights_and_leaves_rotary_frequencies_precise(small_model, batch):
    exact = chunk(small_model.eval(), batch)
    rough = ready_to_infer(small_model, CPU, torch.bfloat16)
    assert {parameter.dtype for parameter in rough.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in rough.buffers() if buffer.is_floating_point()} == {torch.float32}
    out = chunk(rough, batch)
    assert out.dtype == torch.float32  # of the noise: Euler's sum is not rounded
    torch.testing.assert_close(out, exact, atol=0.1, rtol=0)


@pytest.mark.parametrize(("device", "dtype"), [(CPU, torch.float32), (CUDA, torch.bfloat16)])
def test_the_precision_follows_the_device_unless_it_is_named(device, dtype):
    assert dtype_of("auto", device) == dtype
    assert dtype_of("float32", device) == torch.float32


def test_the_quick_gelu_is_the_gelu():
    x = torch.linspace(-12, 12, 5000)
    with torch.no_grad():
        torch.testing.assert_close(gelu_tanh(x), F.gelu(x, approximate="tanh"), atol=1e-6, rtol=0)


class NoHostTensors(TorchFunctionMode):
    """Refuses tensors made of Python numbers: they are copied to the device, which a captured graph must not do."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.tensor, torch.as_tensor, torch.from_numpy), f"{func.__name__} in a call that is captured"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", ["dial_tiny", "dial_tiny_dino"])
@pytest.mark.parametrize("part", ["System-1", "System-2"])
def test_a_call_that_is_captured_reads_nothing_from_the_host(preset, part):
    """On the meta device nothing has a value, so a call that waited for one would fail."""
    call = parts_of(DialModel.without_weights(DialConfig.from_preset(preset).arch), flow_steps=2)[part]
    with torch.inference_mode(), NoHostTensors():
        call.function(*call.inputs)


def test_a_model_that_several_threads_make_ready_at_once_keeps_its_weights():
    model = nn.Sequential(*(nn.Linear(384, 256, bias=False) for _ in range(8)))
    expected = [layer.weight.detach().clone() for layer in model]
    together = threading.Barrier(THREADS)

    def make_ready():
        together.wait()
        ready_to_infer(model, CPU, torch.float32)

    threads = [threading.Thread(target=make_ready) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layer, weight in zip(model, expected, strict=True):
        assert layer.weight.t().is_contiguous()
        assert torch.equal(layer.weight, weight)
