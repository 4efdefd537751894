"""Weights read tensor by tensor, and only those of the systems that run.

pytest test/unit/checkpoint/test_stored_weights.py
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import load_file, save_file

from dial_core.checkpoint.checkpoint import WEIGHTS, load_checkpoint, make_random_checkpoint, save_checkpoint, weights_id
from dial_core.checkpoint.stored_weights import CHUNK, TensorFile, require_finite_weights
from dial_core.errors import DialError
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.robot.embodiment import load_embodiment

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "checkpoint"
    make_random_checkpoint(path)
    return path


def parameters(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_tensor_is_read_as_safetensors_reads_it(tmp_path):
    tensors = {"b": torch.randn(3, 5).bfloat16(), "a": torch.randn(2, 2, 2), "scalar": torch.tensor(4.0), "none": torch.empty(0, 3)}
    save_file(tensors, tmp_path / "file.safetensors")
    file = TensorFile(tmp_path / "file.safetensors")
    assert file.names == ["a", "b", "none", "scalar"]
    for name, expected in tensors.items():
        assert file.shape(name) == tuple(expected.shape)
        assert file.read(name).dtype == expected.dtype
        assert torch.equal(file.read(name), expected)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content[:8] + content[8:].replace(b"F32", b"X32"),
        lambda content: content[:8] + content[8:].replace(b"[2,2]", b"[2,9]"),
        lambda content: content[:8] + content[8:].replace(b"{", b"[", 1),
    ],
    ids=["empty", "truncated", "longer", "length", "dtype", "shape", "json"],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "file.safetensors"
    save_file({"a": torch.ones(2, 2)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DialError, match=r"file\.safetensors cannot be read: .*; restore the file"):
        TensorFile(path)


def test_a_node_holds_the_weights_of_its_system_alone(folder):
    whole = load_checkpoint(folder).model
    one, two = (load_checkpoint(folder, part).model for part in ("system1", "system2"))
    vision = parameters(whole.backbone.visual)
    assert parameters(one) == vision + parameters(whole.system1)
    assert parameters(two) == parameters(whole.system2)
    assert System1Session.from_checkpoint(folder).model.part == "system1"
    assert System2Session.from_checkpoint(folder).model.part == "system2"


def test_a_session_refuses_a_checkpoint_without_its_weights(folder):
    with pytest.raises(DialError, match="was loaded without the weights of System-2"):
        System2Session(load_checkpoint(folder, "system1"))
    with pytest.raises(DialError, match="was loaded without the weights of System-1"):
        System1Session(load_checkpoint(folder, "system2"))


def test_weights_are_loaded_in_the_dtype_asked_for_and_rotary_tables_keep_theirs(folder):
    model = load_checkpoint(folder, dtype=torch.bfloat16).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}
    assert not model.training


def test_tensors_that_do_not_fit_are_all_listed(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "c")
    tensors = load_file(folder / WEIGHTS)
    tensors["system1.extra"] = tensors.pop("system1.image_type")
    tensors["system1.position"] = torch.zeros(2, 2)
    save_file(tensors, tmp_path / "c" / WEIGHTS)
    contract = tmp_path / "c" / "contract.json"
    contract.write_text(json.dumps(json.loads(contract.read_text()) | {"model_id": weights_id(tmp_path / "c")}))
    with pytest.raises(DialError, match=r"missing: system1\.image_type; unexpected: system1\.extra; mismatched: system1\.position"):
        load_checkpoint(tmp_path / "c")


def refuses(values: torch.Tensor) -> bool:
    """Whether weights of these values are refused, which happens by name and for nothing else."""
    try:
        require_finite_weights(Path("folder"), torch.nn.ParameterDict({"weight": torch.nn.Parameter(values, requires_grad=False)}))
    except DialError as error:
        return "not finite, in weight;" in str(error)
    return False


LARGE_OR_NOT_FINITE = st.sampled_from([3.4e38, -3.4e38, 6.5e4, float("inf"), float("-inf"), float("nan"), 0.0])


@settings(max_examples=300, deadline=None)
@given(arrays.arrays(np.float32, st.integers(0, 40), elements=LARGE_OR_NOT_FINITE | st.floats(width=32)), st.sampled_from(DTYPES))
def test_weights_are_refused_exactly_if_one_is_not_finite(values, dtype):
    tensor = torch.from_numpy(values).to(dtype)
    assert refuses(tensor) == (not torch.isfinite(tensor).all())


@pytest.mark.parametrize("dtype", DTYPES)
def test_finite_weights_whose_sum_overflows_are_taken_and_one_nan_among_many_is_not(dtype):
    weights = torch.full((2 * CHUNK + 3,), torch.finfo(dtype).max, dtype=dtype)
    assert not refuses(weights)
    for place in (0, CHUNK, len(weights) - 1):
        wrong = weights.clone()
        wrong[place] = float("nan")
        assert refuses(wrong)


def test_ordinary_weights_are_not_checked_one_by_one_which_takes_seconds_at_3b(monkeypatch):
    weights = torch.linspace(-1, 1, CHUNK + 5, dtype=torch.bfloat16)
    monkeypatch.setattr(torch, "isfinite", lambda _: pytest.fail("each weight was checked"))
    assert not refuses(weights)


PEAK = """
import sys, torch
from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.inference.ready import ready_to_infer

def kilobytes(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1])

def load(folder):
    model = load_checkpoint(folder, "system2", torch.bfloat16).model
    return ready_to_infer(model, torch.device("cpu"), torch.bfloat16)

load(sys.argv[1])  # what the libraries take once is not the model's
open("/proc/self/clear_refs", "w").write("5")  # the peak starts again from here
before, libraries = kilobytes("VmRSS"), kilobytes("RssFile")
model = load(sys.argv[2])
peak, later = kilobytes("VmHWM"), kilobytes("VmRSS")
again = kilobytes("RssFile") - libraries  # a kernel that reclaims memory drops pages of libraries, which then come back
assert sys.argv[2] not in open("/proc/self/maps").read(), "weights are read, not mapped: mapped ones would be among those pages"
weights = sum(parameter.nbytes for parameter in model.parameters())
print(1024 * (peak - before - max(0, again)) / weights, 1024 * (later - before - again) / weights, weights)
"""


@pytest.mark.slow
def test_loading_takes_less_than_thirteen_tenths_of_the_weights(folder, tmp_path):
    """Of a wider model, whose 180 MB stand out against what the interpreter itself takes."""
    architecture = DialConfig.from_preset("dial_tiny").architecture
    architecture["text"] |= {"layers": 24, "ffn_width": 6144}
    with torch.random.fork_rng():
        model = DialModel(DialConfig(architecture))
    save_checkpoint(tmp_path / "c", model, tiny_tokenizer(), Normaliser.identity(47), load_embodiment("gr1"), dtype=torch.bfloat16)
    run = subprocess.run([sys.executable, "-c", PEAK, str(folder), str(tmp_path / "c")], capture_output=True, text=True, check=True)
    peak, later, weights = map(float, run.stdout.split())
    assert weights > 1.7e8
    assert 0.9 < later <= peak < 1.3
