"""Engines by their names, and what is asked of TensorRT, with a stand-in for the package: there is no GPU where tests run.

pytest test/unit/inference/test_tensorrt_engine.py
"""

import json
import mmap
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference import programs, system1_session, system2_session, tensorrt_engine
from dial_core.inference.programs import ProgramSpec, open_program, runtime_for
from dial_core.inference.ready import ready_to_infer
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.tensorrt_engine import build_engine, engine_machine, open_engine, trtexec_command, why_no_engine
from dial_core.model.flow_matching import NO_NOISE

SPEC = ProgramSpec(1, "tensorrt-bf16", "0123456789abcdef", 1, 4, 0)
SHAPES = {"input_ids": ((1, 16), (1, 50), (1, 178))}


class StandInPackage(SimpleNamespace):
    """The part of the package `tensorrt` that builds; it records what it was asked."""

    def __init__(self, version="10.13.3.9", typed_flag=True, parses=True, builds=True):
        asked = {}
        network_flags = SimpleNamespace(EXPLICIT_BATCH=0, **({"STRONGLY_TYPED": 1} if typed_flag else {}))
        config = SimpleNamespace(
            set_memory_pool_limit=lambda pool, size: asked.update(workspace=size),
            add_optimization_profile=lambda profile: asked.update(profiles=1),
        )
        profile = SimpleNamespace(set_shape=lambda name, *shapes: asked.update({name: shapes}))
        builder = SimpleNamespace(
            create_network=lambda flags: asked.update(flags=flags) or "network",
            create_builder_config=lambda: config,
            create_optimization_profile=lambda: profile,
            build_serialized_network=lambda network, config: b"plan" if builds else None,
        )
        parser = SimpleNamespace(
            parse_from_file=lambda path: asked.update(graph=path) or parses,
            num_errors=1,
            get_error=lambda place: SimpleNamespace(desc=lambda: "no importer for Foo"),
        )
        super().__init__(
            __version__=version,
            asked=asked,
            Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None}),
            Builder=lambda logger: builder,
            OnnxParser=lambda network, logger: parser,
            NetworkDefinitionCreationFlag=network_flags,
            MemoryPoolType=SimpleNamespace(WORKSPACE=0),
        )


@pytest.fixture(autouse=True)
def programs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_PROGRAMS", str(tmp_path / "programs"))


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU and TensorRT, as far as names go."""

    def present(name="NVIDIA H100 80GB HBM3", **options):
        package = StandInPackage(**options)
        monkeypatch.setitem(sys.modules, "tensorrt", package)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu=None: name if gpu is None else f"{name} {gpu}")
        return package

    return present


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


def made_here(spec):
    """Writes an engine and its card as an export on this machine does."""
    spec.file.parent.mkdir(parents=True, exist_ok=True)
    spec.file.write_bytes(b"plan")
    spec.file.with_suffix(".json").write_text(json.dumps({"facts": spec.facts}))
    return spec.file


def test_an_engine_is_named_after_its_gpu_and_its_tensorrt(gpu):
    gpu()
    assert engine_machine() == "NVIDIA-H100-80GB-HBM3-trt10.13.3.9"
    assert SPEC.file.name == "system1-tensorrt-bf16-flow4-noise0-slot0-NVIDIA-H100-80GB-HBM3-trt10.13.3.9.engine"
    assert SPEC.graph.name == "system1-tensorrt-bf16-flow4-noise0-slot0.onnx"
    assert replace(SPEC, noise_seed=NO_NOISE).graph.name == "system1-tensorrt-bf16-flow4-mean-slot0.onnx"


@pytest.mark.parametrize("other", [{"name": "Orin"}, {"version": "11.4.0.106"}])
def test_an_engine_of_another_gpu_or_version_is_refused_with_the_reason_and_the_remedy(gpu, other):
    gpu()
    file = made_here(SPEC)
    gpu(**other)
    with pytest.raises(DialError, match=r"runs only on the GPU and TensorRT version in its name; there are (.*)\); make it") as refused:
        open_program(SPEC)
    assert file.name in str(refused.value)
    assert "dial export CHECKPOINT --system 1 --format tensorrt --precision bf16 --flow-steps 4 --noise-seed 0" in str(refused.value)


def test_a_renamed_engine_is_refused_by_its_card(gpu):
    gpu()
    card = made_here(SPEC).with_suffix(".json").read_text()
    gpu(name="Orin")
    made_here(SPEC).with_suffix(".json").write_text(card)
    with pytest.raises(DialError, match=r"was made for something else: machine is NVIDIA-H100.*, expected Orin-trt"):
        open_program(SPEC)


def test_without_a_gpu_or_without_the_package_the_reason_is_given(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert why_no_engine() == "there is no NVIDIA GPU"
    with pytest.raises(DialError, match="cannot be built or run here: there is no NVIDIA GPU"):
        open_program(SPEC)
    gpu()
    assert why_no_engine() == ""
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # an import of it fails
    assert "the package tensorrt is missing; `pip install tensorrt`" in why_no_engine()


def test_a_session_on_a_cpu_refuses_an_engine(tmp_path):
    make_random_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(
        DialError, match="runtime tensorrt-bf16 runs on an NVIDIA GPU only, not on cpu; set device cuda, or use runtime aoti"
    ):
        System2Session(load_checkpoint(tmp_path / "checkpoint"), runtime="tensorrt")
    assert runtime_for("tensorrt", torch.device("cuda")) == "tensorrt-bf16"


@pytest.mark.parametrize(("typed_flag", "flags"), [(True, 2), (False, 0)])
def test_the_network_is_strongly_typed_in_every_version(gpu, tmp_path, typed_flag, flags):
    asked = gpu(typed_flag=typed_flag).asked
    build_engine(tmp_path / "graph.onnx", SHAPES, tmp_path / "engine")
    assert (tmp_path / "engine").read_bytes() == b"plan"
    assert asked["flags"] == flags
    assert asked["graph"] == str(tmp_path / "graph.onnx")
    assert asked["input_ids"] == SHAPES["input_ids"]
    assert asked["workspace"] == tensorrt_engine.WORKSPACE_BYTES
    assert asked["profiles"] == 1


@pytest.mark.parametrize(("failing", "said"), [("parses", "cannot parse .*: no importer for Foo"), ("builds", "cannot build an engine of")])
def test_a_graph_that_tensorrt_refuses_is_an_error_with_its_reason(gpu, tmp_path, failing, said):
    gpu(**{failing: False})
    with pytest.raises(DialError, match=said):
        build_engine(tmp_path / "graph.onnx", {}, tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


def test_the_name_of_an_engine_is_that_of_the_gpu_it_runs_on(gpu, random_checkpoint):
    gpu(name="Orin")
    assert replace(SPEC, gpu=1).file.name.endswith("-Orin-1-trt10.13.3.9.engine")
    assert replace(SPEC, gpu=1).facts["machine"] == "Orin-1-trt10.13.3.9"
    assert replace(SPEC, gpu=1).settings == SPEC.settings
    checkpoint = load_checkpoint(random_checkpoint)
    for session in (System1Session(checkpoint), System2Session(checkpoint)):
        session.device = torch.device("cuda:1")
        assert session.spec("tensorrt-bf16").gpu == 1


@pytest.fixture
def beside_an_engine(gpu, monkeypatch, random_checkpoint):
    """class of a session -> (a session of an engine that computes as the model does, the same without an engine, who was made ready)."""

    def made(kind):
        gpu()
        computing = kind(load_checkpoint(random_checkpoint))
        monkeypatch.setattr(programs, "open_engine", lambda file, inputs, outputs, index: computing.function)
        ready = []

        def made_ready(model, device, dtype):
            ready.append((model, device, dtype))
            return ready_to_infer(model, device, dtype)

        for module in (system1_session, system2_session):
            monkeypatch.setattr(module, "ready_to_infer", made_ready)
        made_here(computing.spec("tensorrt-bf16"))
        session = kind(load_checkpoint(random_checkpoint), device="cuda", precision="float32", runtime="tensorrt")
        assert session.device.type == "cuda"
        session.device = torch.device("cpu")  # of the engine's inputs here, which has no GPU
        return session, computing, ready

    return made


def test_system_2_leaves_its_model_off_the_gpu_beside_an_engine_until_image_tokens_need_it(beside_an_engine, image):
    session, computing, ready = beside_an_engine(System2Session)
    for found, expected in zip(session.look(image, "open the drawer"), computing.look(image, "open the drawer"), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert ready == []
    assert not session.model.training
    for pixels in (image, 255 - image):
        np.testing.assert_allclose(session.image_tokens(pixels), computing.image_tokens(pixels), atol=1e-5)
    assert ready == [(session.model, torch.device("cpu"), torch.float32)]
    assert not any(parameter.is_inference() for parameter in session.model.parameters())


def test_system_1_leaves_its_model_off_the_gpu_beside_an_engine_until_a_chunk_must_agree_with_others(beside_an_engine, image):
    session, computing, ready = beside_an_engine(System1Session)
    state = np.full(47, 0.1, np.float32)
    inputs = image, np.full((36, 192), 0.5, np.float32), state
    np.testing.assert_allclose(session.chunk(*inputs), computing.chunk(*inputs), atol=1e-5)
    assert ready == []
    assert not session.model.training
    committed = Committed(np.tile(state, (16, 1)), np.linspace(1, 0, 16, dtype=np.float32))
    for _ in range(2):
        np.testing.assert_allclose(session.chunk(*inputs, committed), computing.chunk(*inputs, committed), atol=1e-5)
    assert ready == [(session.model, torch.device("cpu"), torch.float32)]


def test_an_engines_file_is_mapped_and_not_held_in_memory_while_it_is_loaded(gpu, tmp_path):
    """With the bytes of the whole file a robot's computer would need room for an engine twice."""
    given = []

    def deserialise(plan):
        with memoryview(plan) as content:  # what pybind11 asks a buffer for
            given.append((type(content.obj), bytes(content)))

    gpu().Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=deserialise)
    (tmp_path / "engine").write_bytes(b"plan")
    with pytest.raises(DialError, match=r"TensorRT 10\.13\.3\.9 refuses .*engine; delete it and export again"):
        open_engine(tmp_path / "engine", ["state"], ["chunk"])
    assert given == [(mmap.mmap, b"plan")]
    (tmp_path / "engine").write_bytes(b"")
    with pytest.raises(DialError, match="engine is empty; delete it and export again"):
        open_engine(tmp_path / "engine", ["state"], ["chunk"])


def test_an_engine_is_loaded_and_run_on_its_gpu(gpu, monkeypatch, tmp_path):
    """Streams, engines and their contexts belong to the device that is current when they are made and when they run."""
    current, used = [], []

    @contextmanager
    def chosen(device):
        current.append(str(device))
        yield
        current.pop()

    def note(what, answer):
        used.append((what, *current))
        return answer

    context = SimpleNamespace(
        set_input_shape=lambda name, shape: True,
        set_tensor_address=lambda name, address: None,
        execute_async_v3=lambda stream: note("run", True),
    )
    engine = SimpleNamespace(
        create_execution_context=lambda: note("context", context), num_io_tensors=1, get_tensor_name=lambda place: "state"
    )
    package = gpu()
    package.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda plan: note("load", engine))
    package.float32 = package.float16 = package.bfloat16 = None
    stream = SimpleNamespace(wait_stream=lambda other: None, cuda_stream=0)
    monkeypatch.setattr(torch.cuda, "device", chosen)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: note("stream", stream))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: note("caller's stream", stream))
    (tmp_path / "engine").write_bytes(b"plan")
    program = open_engine(tmp_path / "engine", ["state"], [], 1)
    given = SimpleNamespace(device="cuda:1", shape=(1, 47), data_ptr=lambda: 0, record_stream=lambda stream: None)
    given.contiguous = lambda: given
    program(given)
    assert used == [("load", "1"), ("context", "1"), ("stream", "1"), ("caller's stream", "cuda:1"), ("run", "cuda:1")]


def test_the_command_without_python_gives_the_same_shapes():
    assert trtexec_command(Path("system2.onnx"), SHAPES) == (
        "trtexec --onnx=system2.onnx --stronglyTyped --saveEngine=system2.engine "
        "--minShapes=input_ids:1x16 --optShapes=input_ids:1x50 --maxShapes=input_ids:1x178"
    )
    assert "Shapes" not in trtexec_command(Path("system1.onnx"), {})
