"""Which products of a graph get which precision, and how far rounding takes the result.

pytest test/unit/inference/test_typed_graph.py
"""

import shutil

import numpy as np
import pytest
import torch

from dial_core.errors import DialError
from dial_core.inference import typed_graph
from dial_core.inference.programs import open_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
INPUTS = [torch.tensor(RNG.normal(size=(1, 5, 8)), dtype=torch.float32)]


def scoped(op, inputs, output, scope=""):
    node = helper.make_node(op, inputs, [output], f"node_{output}")
    if scope:
        node.metadata_props.append(onnx.StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value=f"['', '{scope}']"))
    return node


@pytest.fixture
def graph(tmp_path):
    """The file of `write_graph`."""
    return write_graph(tmp_path / "graph.onnx")


def write_graph(file, width=8):
    """A tower (one plain product, one in its module), a ReLU, a layer with stored and one with transposed weights, attention; its file."""
    nodes = [
        scoped("MatMul", ["x", "patch"], "patches"),  # a function of the tower, in no module
        scoped("MatMul", ["patches", "tower"], "tokens", "model.system2.backbone.visual.merger"),
        scoped("MatMul", ["tokens", "first"], "hidden", "model.system1.layer1"),
        scoped("Relu", ["hidden"], "active"),
        scoped("Transpose", ["second"], "turned"),
        scoped("MatMul", ["active", "turned"], "out", "model.system1.layer2"),
        scoped("Transpose", ["out"], "keys"),
        scoped("Reshape", ["keys", "shape"], "columns"),
        scoped("MatMul", ["out", "columns"], "y"),
    ]
    square = (width, width)
    weights = [numpy_helper.from_array(RNG.normal(size=square).astype(np.float32), name) for name in ("patch", "tower", "first", "second")]
    weights.append(numpy_helper.from_array(np.array([1, width, 5]), "shape"))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5, width])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 5])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    onnx.save(model, str(file))
    return file


def run(model, tmp_path, exactly=True, inputs=INPUTS):
    typed_graph.save_graph(model, tmp_path / "run.onnx")
    return open_onnx(tmp_path / "run.onnx", [value.name for value in model.graph.input], exactly)(*inputs)


def sides(model):
    """Product -> type of its left side: what the cast before it makes, or fp8, or float."""
    makes = {output: node for node in model.graph.node for output in node.output}
    found = {}
    for node in model.graph.node:
        if node.op_type == "MatMul":
            before = makes.get(node.input[0])
            kind = "float"
            if before is not None and before.op_type == "Cast":
                kind = TensorProto.DataType.Name(next(a.i for a in before.attribute if a.name == "to")).lower()
            elif before is not None and before.op_type == "DequantizeLinear":
                kind = "fp8"
            found[node.name] = kind
    return found


def largest_of(model, tmp_path, inputs=INPUTS):
    names = typed_graph.inputs_to_scale(model)
    values = run(typed_graph.with_probes(model, names), tmp_path, inputs=inputs)
    return {name: float(value.abs().max()) for name, value in zip(names, values, strict=True)}


def test_the_tower_is_found_with_the_functions_before_it_and_weights_through_a_transposition(graph):
    found = {item.node.name: (item.vision, item.weights) for item in typed_graph.products(typed_graph.folded(graph))}
    assert found == {
        "node_patches": (True, True),
        "node_tokens": (True, True),
        "node_hidden": (False, True),
        "node_out": (False, True),
        "node_y": (False, False),
    }


@pytest.mark.parametrize(
    ("precision", "tower", "weights", "attention"),
    [("bf16", "float", "bfloat16", "bfloat16"), ("fp16", "float", "float16", "float16"), ("fp8", "bfloat16", "fp8", "bfloat16")],
)
def test_every_product_gets_its_precision_and_the_tower_a_higher_one(graph, tmp_path, precision, tower, weights, attention):
    model = typed_graph.folded(graph)
    typed = typed_graph.typed(model, precision, largest_of(model, tmp_path))
    onnx.checker.check_model(typed, full_check=True)  # types agree along every edge
    expected = dict.fromkeys(("node_patches", "node_tokens"), tower) | dict.fromkeys(("node_hidden", "node_out"), weights)
    assert sides(typed) == expected | {"node_y": attention}
    assert [output.type.tensor_type.elem_type for output in typed.graph.output] == [TensorProto.FLOAT]


@pytest.mark.parametrize(("precision", "least", "most"), [("fp16", 1e-5, 3e-3), ("bf16", 1e-4, 3e-2), ("fp8", 3e-3, 0.3)])
def test_the_emulated_graph_rounds_as_much_as_its_precision(graph, tmp_path, precision, least, most):
    """Without `exactly` ONNX Runtime takes away the ReLU before a conversion to fp8, whose error is then above 1."""
    model = typed_graph.folded(graph)
    exact = run(model, tmp_path)[0]
    rounded = run(typed_graph.typed(model, precision, largest_of(model, tmp_path), emulated=True), tmp_path)[0]
    error = float((rounded - exact).square().mean().sqrt() / exact.std())
    assert least < error < most


def test_weights_are_stored_in_their_precision_and_the_old_ones_are_gone(graph, tmp_path):
    model = typed_graph.folded(graph)
    stored = {t.name: t.data_type for t in typed_graph.typed(model, "bf16", {}).graph.initializer}
    assert {stored["patch"], stored["tower"]} == {TensorProto.FLOAT}
    assert stored["first_bfloat16"] == TensorProto.BFLOAT16
    assert not {"first", "second"} & set(stored)


def test_large_weights_go_to_a_file_beside_the_graph(graph, tmp_path, monkeypatch):
    model = typed_graph.folded(graph)
    for tensor in model.graph.initializer:  # below 1024 bytes they would stay
        if tensor.name == "first":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).repeat(64, 1), "first"))
    before = typed_graph.inputs_to_scale(model)
    monkeypatch.setattr(typed_graph, "LARGEST_FILE", 100)
    typed_graph.save_graph(model, tmp_path / "large.onnx")
    assert (tmp_path / "large.onnx.data").stat().st_size >= 8 * 8 * 64 * 4
    assert typed_graph.inputs_to_scale(typed_graph.folded(tmp_path / "large.onnx")) == before


@pytest.mark.parametrize("precision", typed_graph.PRECISIONS)
def test_a_graph_with_its_weights_beside_it_is_typed_and_saved_with_all_of_them_beside_it_again(tmp_path, monkeypatch, precision):
    """Weights of the tower stay, others are converted or folded; none of them may point at the file that they came from."""
    width = 32  # weights of less than 1024 bytes stay in the graph
    inputs = [torch.tensor(RNG.normal(size=(1, 5, width)), dtype=torch.float32)]
    small, staging, kept = write_graph(tmp_path / "small.onnx", width), tmp_path / "staging", tmp_path / "kept"
    largest = largest_of(typed_graph.folded(small), tmp_path, inputs)
    expected = run(typed_graph.typed(typed_graph.folded(small), precision, largest, emulated=True), tmp_path, inputs=inputs)[0]
    monkeypatch.setattr(typed_graph, "LARGEST_FILE", 1000)
    staging.mkdir()
    typed_graph.save_graph(onnx.load(small), staging / "float32.onnx")
    large = typed_graph.folded(staging / "float32.onnx")
    for name, emulated in (("emulated.onnx", True), ("final.onnx", False)):
        typed_graph.save_graph(typed_graph.typed(large, precision, largest, emulated), staging / name)
    kept.mkdir()
    for made in [*staging.glob("emulated.onnx*"), *staging.glob("final.onnx*")]:
        made.rename(kept / made.name)
    shutil.rmtree(staging)
    np.testing.assert_array_equal(open_onnx(kept / "emulated.onnx", ["x"], exactly=True)(*inputs)[0], expected)
    stored = onnx.load(kept / "final.onnx", load_external_data=False).graph.initializer
    assert {entry.value for tensor in stored for entry in tensor.external_data if entry.key == "location"} == {"final.onnx.data"}
    assert all(tensor.raw_data for tensor in onnx.load(kept / "final.onnx").graph.initializer if tensor.dims)


@pytest.fixture
def image_graph(tmp_path):
    """A graph that sorts the patches of an image while they are bytes, as both systems do, and picks some by other bytes; its file."""
    nodes = [
        scoped("Reshape", ["pixels", "blocks"], "blocked"),
        scoped("Transpose", ["blocked"], "sorted"),
        helper.make_node("Cast", ["sorted"], ["floats"], "node_floats", to=TensorProto.FLOAT),
        scoped("MatMul", ["floats", "patch"], "tokens", "model.system2.backbone.visual.merger"),
        helper.make_node("Cast", ["places"], ["rows"], "node_rows", to=TensorProto.INT64),
        scoped("Gather", ["tokens", "rows"], "chosen"),
        scoped("MatMul", ["chosen", "head"], "y", "model.view_encoder.head"),
    ]
    weights = [numpy_helper.from_array(RNG.normal(size=(4, 4)).astype(np.float32), name) for name in ("patch", "head")]
    weights.append(numpy_helper.from_array(np.array([4, 6]), "blocks"))
    shapes = {"pixels": [1, 4, 2, 3], "places": [2]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])]
    body = helper.make_graph(nodes, "g", inputs, outputs, weights)
    file = tmp_path / "image.onnx"
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(file))
    return file


def test_bytes_are_cast_before_anything_else_reads_them(image_graph, tmp_path):
    """TensorRT's parser refuses all other readers of bytes, reshaping among them (NVIDIA/TensorRT issue 3985)."""
    images = [torch.tensor(RNG.integers(0, 256, (1, 4, 2, 3)), dtype=torch.uint8), torch.tensor([5, 0], dtype=torch.uint8)]
    original = typed_graph.folded(image_graph)
    typed = typed_graph.typed(original, "bf16", {})  # whose tower stays in float32, so that nothing is rounded
    onnx.checker.check_model(typed, full_check=True)
    assert [value.type.tensor_type.elem_type for value in typed.graph.input] == [TensorProto.UINT8] * 2
    readers = [(name, node.op_type) for node in typed.graph.node for name in node.input if name in ("pixels", "places")]
    assert readers == [("pixels", "Cast"), ("places", "Cast")]
    within = onnx.shape_inference.infer_shapes(typed).graph.value_info
    assert TensorProto.UINT8 not in {value.type.tensor_type.elem_type for value in within}
    assert {item.node.name for item in typed_graph.products(typed)} == {"node_tokens", "node_y"}
    np.testing.assert_array_equal(run(typed, tmp_path, inputs=images)[0], run(original, tmp_path, inputs=images)[0])


def test_an_unknown_precision_is_refused(graph):
    with pytest.raises(DialError, match="unknown precision 'fp4'; precisions of engines: bf16, fp16, fp8"):
        typed_graph.typed(typed_graph.folded(graph), "fp4", {})
