"""The YAML beside a program against what the program, the session, the C++ example and LEAPP's own reader see.

pytest test/unit/inference/test_interface_file.py
"""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.inference.compile_program import made_up_observations
from dial_core.inference.export import export_system
from dial_core.inference.interface_file import SYSTEM2_HZ, write_interface
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "system1_node.cpp"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interface") / "checkpoint"
    make_random_checkpoint(folder)
    return load_checkpoint(folder)


@pytest.fixture
def written(checkpoint, tmp_path):
    """system -> (session, example tensors, document) of a stand-in for its program, with `weights` in a file beside it."""

    def write(system, suffix=".onnx", weights=b""):
        session = System1Session(checkpoint) if system == 1 else System2Session(checkpoint)
        seen = made_up_observations(checkpoint.contract)[0]
        spec, inputs = session.spec("onnx"), session.example(seen.images, seen.instruction)
        file = tmp_path / f"system{system}{suffix}"
        file.write_bytes(b"program")
        if weights:
            file.with_name(f"{file.name}.data").write_bytes(weights)
        path = write_interface(file, checkpoint, spec, dict(zip(spec.inputs, inputs, strict=True)))
        return session, inputs, yaml.safe_load(path.read_text())

    return write


@pytest.mark.parametrize("system", [1, 2])
def test_inputs_and_outputs_are_those_of_the_session_in_order(written, system):
    session, inputs, document = written(system)
    model = document["models"][f"system{system}"]
    assert [(t["dtype"], t["shape"]) for t in model["inputs"]] == [(str(x.dtype)[6:], list(x.shape)) for x in inputs]
    with torch.inference_mode():
        outputs = session.function(*inputs)
    assert [(t["dtype"], t["shape"]) for t in model["outputs"]] == [(str(x.dtype)[6:], list(x.shape)) for x in outputs]
    for side in ("inputs", "outputs"):
        assert document["pipeline"][side] == {f"system{system}": [t["name"] for t in model[side]]}


def test_the_files_state_is_scaled_and_named_as_the_session_does(checkpoint, written):
    document = written(1)[2]
    state, chunk = document["models"]["system1"]["inputs"][1], document["models"]["system1"]["outputs"][0]
    physical = np.random.default_rng(1).normal(size=47).astype(np.float32)
    scale = {key: np.array(values) for key, values in state["normalisation"].items()}
    np.testing.assert_allclose((physical - scale["mean"]) / scale["std"], checkpoint.rim.encode_state(physical), atol=1e-5)
    scale = {key: np.array(values) for key, values in chunk["normalisation"].items()}
    np.testing.assert_allclose(physical * scale["std"] + scale["mean"], checkpoint.rim.decode_action(physical), atol=1e-5)
    for tensor in (state, chunk):
        names = tensor["element_names"][-1]
        assert names[18:] == list(checkpoint.contract.joint_names)
        assert [unit for unit, name in zip(tensor["units"], names, strict=True) if name.endswith("wrist_x")] == ["m", "m"]
        assert set(tensor["units"][18:]) == {"rad"}
    assert chunk["element_names"][:2] == [None, "__temporal_axis__"]
    assert (chunk["temporal_period_ms"], document["pipeline"]["configs"]["frequency"]) == (50.0, 20.0)


def test_the_prompts_length_is_marked_as_varying(written):
    document = written(2)[2]
    varying = {t["name"]: t.get("dynamic_axes") for t in document["models"]["system2"]["inputs"]}
    words = {1: "words"}
    assert varying == {"pixels": None, "input_ids": words, "attention_mask": words, "positions": {2: "words + 36"}}
    protocol = Protocol(episodes=1)
    assert document["pipeline"]["configs"]["frequency"] == SYSTEM2_HZ == 20.0 / protocol.system2_period_steps


@pytest.mark.parametrize(("suffix", "backend"), [(".onnx", "onnx"), (".pt2", "aoti"), (".engine", "tensorrt")])
def test_the_program_is_named_with_its_hash(written, suffix, backend):
    parameters = written(1, suffix)[2]["models"]["system1"]["parameters"]
    assert (parameters["backend"], parameters["model_path"]) == (backend, f"system1{suffix}")
    assert parameters["sha256sum"] == hashlib.sha256(b"program").hexdigest()
    assert not [key for key in parameters if key.startswith("weights")]


def test_the_weights_beside_a_large_program_are_named_with_their_hash(written):
    parameters = written(1, weights=b"weights")[2]["models"]["system1"]["parameters"]
    assert (parameters["model_path"], parameters["sha256sum"]) == ("system1.onnx", hashlib.sha256(b"program").hexdigest())
    assert parameters["weights_path"] == "system1.onnx.data"
    assert parameters["weights_sha256sum"] == hashlib.sha256(b"weights").hexdigest()


def test_the_cpp_example_passes_the_same_tensors_in_the_same_order(written):
    """Of dial-tiny: its literals are shapes, and its call is the order."""
    source, inputs = EXAMPLE.read_text(), written(1)[2]["models"]["system1"]["inputs"]
    order = re.search(r"loader_\.run\(\{(.*?)\}\)", source)[1].split(", ")
    names = [t["name"] for t in inputs]
    assert order == [re.sub(r"\d+$", "", name) for name in names]
    dtypes = {"floats": "float32", "bytes": "uint8"}
    zeros = re.findall(r"at::zeros\(\{([\d, ]+)\}, (floats|bytes)\)", source)
    assert [(dtypes[kind], [int(n) for n in shape.split(",")]) for shape, kind in zeros] == [(t["dtype"], t["shape"]) for t in inputs]


@pytest.mark.slow
def test_an_exported_graph_agrees_with_its_file_and_leapps_own_reader_runs_it(checkpoint, tmp_path, monkeypatch):
    """LEAPP's reader only where the package is: `pip install leapp`."""
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setenv("DIAL_PROGRAMS", str(tmp_path / "programs"))
    file, _ = export_system(checkpoint, 1, "onnx", made_up_observations(checkpoint.contract))
    described = yaml.safe_load(file.with_suffix(".yaml").read_text())["models"]["system1"]
    graph = onnxruntime.InferenceSession(str(file))
    types = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}
    for side, nodes in (("inputs", graph.get_inputs()), ("outputs", graph.get_outputs())):
        assert [(n.name, n.type, n.shape) for n in nodes] == [(t["name"], types[t["dtype"]], t["shape"]) for t in described[side]]
    leapp = pytest.importorskip("leapp.inference_manager")
    inputs = {f"system1/{t['name']}": torch.zeros(t["shape"], dtype=getattr(torch, t["dtype"])) for t in described["inputs"]}
    outputs = leapp.InferenceManager(str(file.with_suffix(".yaml"))).run_policy(inputs)
    with torch.inference_mode():
        expected = System1Session(checkpoint).function(*inputs.values())[0]
    torch.testing.assert_close(outputs["system1/chunk"], expected, atol=1e-4, rtol=0)
