"""int8 graphs from small graphs and from those whose weights lie in a file of their own.

pytest test/unit/inference/test_quantise.py
"""

import numpy as np
import pytest

from dial_core.inference import typed_graph
from dial_core.inference.programs import open_onnx
from dial_core.inference.quantise import quantise
from dial_core.inference.typed_graph import save_graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

WIDTH = 64


def two_products():
    """x (1, WIDTH) through a product with a transposed weight, one that stays in float32, and a sum."""
    rng, make = np.random.default_rng(0), onnx.helper.make_node
    weights = {name: rng.normal(0.0, 0.1, (WIDTH, WIDTH)).astype(np.float32) for name in ("turned", "head", "bias")}
    nodes = [
        make("Transpose", ["turned"], ["straight"], "transpose", perm=[1, 0]),
        make("MatMul", ["x", "straight"], ["hidden"], "quantised"),
        make("MatMul", ["hidden", "head"], ["read"], "kept"),
        make("Add", ["read", "bias"], ["y"], "sum"),
    ]
    nodes[2].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'model.action_head', 'model.action_head.linear']")
    sides = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", WIDTH]) for name in ("x", "y")]
    stored = [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = onnx.helper.make_graph(nodes, "products", sides[:1], sides[1:], stored)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def quantised(tmp_path, monkeypatch):
    """(largest file [bytes]) -> the int8 graph of a float32 graph that was written with that limit."""

    def make(largest):
        folder = tmp_path / str(largest)
        folder.mkdir()
        monkeypatch.setattr(typed_graph, "LARGEST_FILE", largest)
        save_graph(two_products(), folder / "float32.onnx")
        quantise(folder / "float32.onnx", folder / "int8.onnx")
        return folder / "int8.onnx"

    return make


def test_a_graph_with_its_weights_in_a_file_of_their_own_is_quantised_like_a_small_one(quantised):
    small, large = quantised(10**9), quantised(1000)
    names = ["float32.onnx", "int8.onnx"]
    assert sorted(path.name for path in small.parent.iterdir()) == names
    assert sorted(path.name for path in large.parent.iterdir()) == sorted([*names, "float32.onnx.data", "int8.onnx.data"])
    assert large.stat().st_size < small.stat().st_size - WIDTH * WIDTH  # the weights are in the other file
    graphs = [onnx.load(file).graph for file in (small, large)]
    assert [node.SerializeToString() for node in graphs[0].node] == [node.SerializeToString() for node in graphs[1].node]
    values = [{tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer} for graph in graphs]
    assert values[0].keys() == values[1].keys()
    for name, value in values[0].items():
        np.testing.assert_array_equal(value, values[1][name])
    torch = pytest.importorskip("torch")
    seen = torch.linspace(-1.0, 1.0, WIDTH).reshape(1, WIDTH)
    outputs = [open_onnx(file, ["x"])(seen)[0] for file in (small, large)]
    assert torch.equal(*outputs)


def test_transposed_weights_are_quantised_and_those_of_an_action_head_are_not(quantised):
    graph = onnx.load(quantised(1000)).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert [node.op_type for node in graph.node if "MatMul" in node.op_type] == ["MatMulInteger", "MatMul"]
    assert kinds["head"] == onnx.TensorProto.FLOAT
    assert [name for name, kind in kinds.items() if kind == onnx.TensorProto.INT8 and "straight_quantized" in name]


def test_a_graph_that_cannot_be_quantised_leaves_nothing_behind(tmp_path):
    (tmp_path / "float32.onnx").write_bytes(b"no graph")
    with pytest.raises(Exception, match="float32"):
        quantise(tmp_path / "float32.onnx", tmp_path / "int8.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["float32.onnx"]
