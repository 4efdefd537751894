"""Exported programs against the sessions that they replace; one compilation of each system for the whole file.

pytest test/unit/inference/test_export.py
"""

import json
import zipfile

import numpy as np
import pytest
import torch
import yaml

from dial_core.benchmarks.runtimes import bench_runtimes
from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.errors import DialError
from dial_core.inference import export as exporting
from dial_core.inference import typed_graph
from dial_core.inference.export import export_system
from dial_core.inference.program_parity import RecordedObservation
from dial_core.inference.programs import ProgramSpec, open_program
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.tensorrt_export import export_engine

RNG = np.random.default_rng(0)
INSTRUCTIONS = ("put the can on the plate", "please take the red cup from the cutting board and put it in the basket")


def observation(instruction: str) -> RecordedObservation:
    image = RNG.integers(0, 256, (96, 96, 3), np.uint8)
    return RecordedObservation((image,), instruction, RNG.normal(0.0, 0.3, 47).astype(np.float32))


SEEN = [observation(text) for text in INSTRUCTIONS]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "checkpoint"
    make_random_checkpoint(folder)
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder of this file's programs."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("programs")
        patch.setenv("DIAL_PROGRAMS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def compiled(checkpoint, programs):
    """System-1's compiled program: (file, parity)."""
    return export_system(checkpoint, 1, "aoti", SEEN)


@pytest.mark.slow
def test_a_compiled_system1_gives_the_chunks_of_the_model(checkpoint, compiled):
    file, parity = compiled
    assert parity.largest_error < 1e-4
    assert parity.cosine > 0.9999
    card = json.loads(file.with_suffix(".json").read_text())
    assert file.with_suffix(".yaml").is_file()
    assert card["contract"] == checkpoint.contract.model_dump(mode="json")
    assert card["inputs"] == {"foresight": "float32 (1, 36, 192)", "state": "float32 (1, 47)", "view0": "uint8 (1, 96, 96, 3)"}
    foresight = RNG.normal(0.0, 1.0, (36, 192)).astype(np.float32)
    fresh = observation("unused")
    chunks = [System1Session(checkpoint, runtime=runtime).chunk(fresh.images, foresight, fresh.state) for runtime in ("eager", "aoti")]
    np.testing.assert_allclose(*chunks, atol=1e-4)


@pytest.mark.slow
def test_a_compiled_system1_adds_no_bias_by_a_copy_of_its_own(compiled):
    """`addmm` copies the bias to every row before the product; the compiler adds it with what comes next, if it may."""
    with zipfile.ZipFile(compiled[0]) as package:
        source = "".join(package.read(name).decode() for name in package.namelist() if name.endswith(".wrapper.cpp"))
    # The vision merger's rows are a matrix already, and there the compiler joins the two again.
    assert source.count("aoti_torch_cpu_addmm_out(") <= 2
    assert source.count("aoti_torch_cpu_mm_out(") > 100


@pytest.mark.slow
def test_a_program_of_other_settings_or_another_machine_is_refused_with_the_remedy(checkpoint, compiled):
    with pytest.raises(DialError, match=r"no exported program .*flow8.*dial export CHECKPOINT --system 1 --format aoti --flow-steps 8"):
        System1Session(checkpoint, flow_steps=8, runtime="aoti")
    card = compiled[0].with_suffix(".json")
    original = card.read_text()
    try:
        card.write_text(original.replace(torch.__version__, "1.0"))
        with pytest.raises(DialError, match=r"was made for something else: torch is 1\.0, expected"):
            System1Session(checkpoint, runtime="aoti")
        card.write_text("{")
        with pytest.raises(DialError, match=r"json cannot be read"):
            System1Session(checkpoint, runtime="aoti")
    finally:
        card.write_text(original)


@pytest.mark.slow
def test_an_onnx_system2_reads_prompts_of_any_length_and_holds_nothing_that_tensorrt_refuses(checkpoint, programs):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    file, parity = export_system(checkpoint, 2, "onnx", SEEN)  # of both lengths
    assert parity.largest_error < 1e-4
    assert not {"NonZero", "IsNaN", "ScatterND", "Loop", "If"} & {node.op_type for node in onnx.load(file).graph.node}
    session = System2Session(checkpoint, runtime="onnx")
    assert session.foresight(SEEN[0].images[0], "move the milk").shape == (36, 192)


def test_a_program_that_differs_from_the_model_is_not_kept(checkpoint, programs, monkeypatch):
    monkeypatch.setattr(exporting, "_trace", lambda session, inputs, system: None)
    monkeypatch.setattr(exporting, "_write", lambda traced, spec, file: file.write_text("wrong"))
    wrong = System1Session(checkpoint, noise_seed=9)
    monkeypatch.setattr(exporting, "load_program", lambda spec, file: wrong.function)
    with pytest.raises(DialError, match=r"differs from the model: .*it was not kept"):
        export_system(checkpoint, 1, "aoti", SEEN, noise_seed=8)
    assert not ProgramSpec(1, "aoti", checkpoint.contract.model_id, 1, 4, 8).file.exists()


def test_no_session_finds_a_program_before_it_was_compared_nor_after_its_comparison_was_interrupted(checkpoint, programs, monkeypatch):
    spec = ProgramSpec(1, "aoti", checkpoint.contract.model_id, 1, 4, 7)
    during = []

    def interrupted(*_):
        during.append(spec.file.exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "_trace", lambda session, inputs, system: None)
    monkeypatch.setattr(exporting, "_write", lambda traced, spec, file: file.write_text("program"))
    monkeypatch.setattr(exporting, "load_program", lambda spec, file: None)
    monkeypatch.setattr(exporting, "compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_system(checkpoint, 1, "aoti", SEEN, noise_seed=7)
    assert during == [False]
    assert list(spec.folder.glob(f"{spec.file.stem}*")) == []
    with pytest.raises(DialError, match="no exported program"):
        open_program(spec)


def test_a_graphs_own_file_of_weights_comes_with_it(programs):
    file = programs / "large" / "system1.onnx"
    with exporting.candidate(file) as written:
        written.write_text("graph")
        written.with_name(f"{written.name}.data").write_text("weights")
    assert sorted(path.name for path in file.parent.iterdir()) == ["system1.onnx", "system1.onnx.data"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (
            lambda checkpoint: System2Session(checkpoint, runtime="openvino"),
            "unknown runtime 'openvino'; runtimes: auto, eager, aoti, onnx, int8, tensorrt-bf16, .*, exported, tensorrt",
        ),
        (lambda checkpoint: export_system(checkpoint, 3, "aoti", SEEN), "there is no System-3"),
        (lambda checkpoint: export_system(checkpoint, 1, "tflite", SEEN), "unknown format 'tflite'; formats: aoti, onnx, int8"),
        (lambda checkpoint: open_program(ProgramSpec(2, "onnx", "no_such_model")), "no exported program"),
    ],
)
def test_what_cannot_be_exported_or_opened_is_refused(checkpoint, programs, make, error):
    with pytest.raises(DialError, match=error):
        make(checkpoint)


@pytest.mark.slow
def test_a_typed_graph_is_written_without_a_gpu_with_its_rounding_and_what_builds_its_engine(checkpoint, programs):
    pytest.importorskip("onnxscript")
    made = export_engine(checkpoint, 2, "fp8", SEEN)
    assert made.engine is None
    assert made.reason == "there is no NVIDIA GPU"
    assert made.graph == System2Session(checkpoint).spec("tensorrt-fp8").graph
    assert made.graph.with_suffix(".yaml").is_file()
    assert [path.name for path in made.graph.parent.iterdir() if path.name.startswith(".")] == []
    assert 0.005 < made.rounding.rms_error < 0.3
    assert "--stronglyTyped" in made.command
    longest = max(len(observed.instruction.split()) for observed in SEEN)
    for option in ("min", "opt", "max"):
        assert f"--{option}Shapes=input_ids:1x" in made.command
    assert longest < int(made.command.rpartition("positions:3x1x")[2])


@pytest.mark.slow
def test_a_typed_graph_beyond_the_size_of_one_file_has_its_weights_beside_it_and_leaves_nothing_else(checkpoint, programs, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    for module in (exporting, typed_graph):
        monkeypatch.setattr(module, "LARGEST_FILE", 1_000_000)
    monkeypatch.setenv("DIAL_PROGRAMS", str(programs / "typed"))
    made = export_engine(checkpoint, 1, "bf16", SEEN)
    assert 0 < made.rounding.rms_error < 0.1
    weights, interface = made.graph.with_name(f"{made.graph.name}.data"), made.graph.with_suffix(".yaml")
    assert sorted(made.graph.parent.iterdir()) == sorted([made.graph, weights, interface])
    assert yaml.safe_load(interface.read_text())["models"]["system1"]["parameters"]["weights_path"] == weights.name
    onnx.checker.check_model(str(made.graph))  # of the files: its weights are where it says
    graph = onnx.load(made.graph).graph
    readers = {node.op_type for node in graph.node if "view0" in node.input}
    assert readers == {"Cast"}


def _products_in_float32(file):
    """Names of a graph's products with weights that are not quantised."""
    graph = pytest.importorskip("onnx").load(file).graph
    weights = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights]


@pytest.mark.slow
def test_int8_programs_are_near_the_model_and_timed_in_turns_with_it(checkpoint, programs, tmp_path):
    pytest.importorskip("onnxscript")
    make_random_checkpoint(tmp_path / "checkpoint")  # the same weights: the seed is fixed
    # Two products each of state encoder, action head (4 steps), foresight head; three of the action encoder, whose first step is constant.
    kept = {1: 2 + 4 * 2 + 3 * 3, 2: 2 + checkpoint.model.arch.text.layers}
    for system in (1, 2):
        file, parity = export_system(checkpoint, system, "int8", SEEN)
        assert parity.rms_error < 0.1
        assert parity.cosine > 0.99
        assert len(_products_in_float32(file)) == kept[system]
    rows = bench_runtimes(str(tmp_path / "checkpoint"), ["eager", "int8"], calls=3)
    assert [(row.system, row.runtime) for row in rows] == [
        ("System-2", "eager"),
        ("System-2", "int8"),
        ("System-1", "eager"),
        ("System-1", "int8"),
    ]
    assert rows[0].speedup == rows[2].speedup == rows[0].processor_speedup == rows[2].processor_speedup == 1.0
    assert all(0 < row.lowest_ms <= row.median_ms <= row.p99_ms for row in rows)


@pytest.mark.slow
def test_an_int8_program_beyond_the_size_of_one_file_has_its_weights_beside_it_and_leaves_nothing_else(checkpoint, programs, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(exporting, "LARGEST_FILE", 1_000_000)
    monkeypatch.setenv("DIAL_PROGRAMS", str(programs / "beyond"))
    file, parity = export_system(checkpoint, 1, "int8", SEEN)
    assert parity.rms_error < 0.1
    assert parity.cosine > 0.99
    names = [f"{file.name}.data", file.name, file.with_suffix(".json").name, file.with_suffix(".yaml").name]
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(names)
    assert file.stat().st_size < 1_000_000 < file.with_name(f"{file.name}.data").stat().st_size
    session = System1Session(checkpoint, runtime="int8")
    assert session.chunk(SEEN[0].images, np.zeros((36, 192), np.float32), SEEN[0].state).shape == (16, 47)
