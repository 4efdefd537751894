"""Puts the precision of an engine into its graph: which products are computed in bf16, fp16 or fp8, and what stays in float32.

TensorRT builds strongly typed networks, so the graph decides. Products take nearly all of the time and weights nearly all of the
memory; norms, softmax, rotary angles, residual sums and the Euler steps stay in float32, where rounding would accumulate. The
vision tower stays one step more precise than the rest, because foresights are predicted in the space of its tokens:

| precision | products of the vision tower | products with weights | products of attention |
|---|---|---|---|
| bf16, fp16 | float32 (TF32 on tensor cores) | bf16, fp16 | bf16, fp16 |
| fp8 | bf16 | fp8, scaled by the largest values of calibration | bf16 |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dial_core.errors import DialError

PRECISIONS = ("bf16", "fp16", "fp8")
VISION_SCOPES = ("system2.backbone.visual", "view_encoder")  # modules of the frozen vision tower
FP8_LARGEST = 448.0  # of E4M3
LARGEST_FILE = 1_500_000_000  # [bytes]; protobuf ends at 2 GB, so that larger weights go to a file beside the graph
INSTALL = "ONNX graphs need the exporter's packages: `pip install onnx onnxscript onnxruntime`"


@dataclass(frozen=True)
class Product:
    """A matrix product of the graph.

    Attributes:
        node: the MatMul.
        vision: whether it belongs to the vision tower.
        weights: whether its right side is constant.
    """

    node: Any
    vision: bool
    weights: bool


def folded(graph: Path) -> Any:
    """The graph of a file with everything constant computed, so that weights stand beside their products.

    It holds all of its weights in memory. Those that stayed references to the file beside `graph` could not be read from another folder.
    """
    try:
        import onnx_ir
        from onnxscript.optimizer import fold_constants, remove_unused_nodes
    except ImportError as error:
        raise DialError(INSTALL) from error
    model = onnx_ir.external_data.load_to_model(onnx_ir.load(graph))
    fold_constants(model, input_size_limit=1 << 40, output_size_limit=1 << 40)
    remove_unused_nodes(model)
    return onnx_ir.to_proto(model)


def products(model: Any) -> list[Product]:
    """Every matrix product of a folded graph, in order."""
    constant = {tensor.name for tensor in model.graph.initializer}
    vision = _vision_nodes(model)
    return [Product(node, node.name in vision, node.input[1] in constant) for node in model.graph.node if node.op_type == "MatMul"]


def inputs_to_scale(model: Any) -> list[str]:
    """Names of the activations whose largest value fp8 needs: left sides of products with weights outside of the vision tower."""
    return list(dict.fromkeys(item.node.input[0] for item in products(model) if item.weights and not item.vision))


def with_probes(model: Any, names: Iterable[str]) -> Any:
    """The graph with these values as its only outputs, for calibration."""
    import onnx

    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    probed.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    return probed


def typed(model: Any, precision: str, largest: Mapping[str, float], emulated: bool = False) -> Any:
    """The graph with its products in `precision`, as the table above says, and its images cast to float32 before anything reads them.

    Args:
        model: folded.
        largest: activation -> largest absolute value on observations, of `inputs_to_scale`; only fp8 reads it.
        emulated: round to the same precision but multiply in float32, for ONNX Runtime on a CPU, which has no such products.

    Raises:
        DialError: unknown precision.
    """
    if precision not in PRECISIONS:
        raise DialError(f"unknown precision '{precision}'; precisions of engines: {', '.join(PRECISIONS)}")
    import onnx

    rewriter = _Rewriter(model, "fp16" if precision == "fp16" else "bf16", emulated)
    rewritten = {item.node.output[0]: item for item in products(model)}
    nodes: list[Any] = []
    for node in model.graph.node:
        item = rewritten.get(node.output[0])
        if item is None or (item.vision and precision != "fp8"):
            nodes.append(node)
        elif precision == "fp8" and item.weights and not item.vision:
            nodes += rewriter.scaled(node, largest[node.input[0]])
        else:
            nodes += rewriter.rounded(node)
    # Made new, as a copy of the graph would hold all weights once more, and the types of its values are others.
    graph = onnx.GraphProto(name=model.graph.name, node=nodes, input=model.graph.input, output=model.graph.output)
    rewriter.cast_bytes(graph)
    result = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph)
    rewriter.add_weights(result.graph)
    return result


def save_graph(model: Any, file: Path) -> None:
    """Writes a graph; weights beyond `LARGEST_FILE` go to `<file>.data` beside it, and `model` itself refers to them from then on."""
    import onnx

    data = file.with_name(f"{file.name}.data")
    data.unlink(missing_ok=True)
    large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_FILE
    if large:
        onnx.save(model, str(file), save_as_external_data=True, all_tensors_to_one_file=True, location=data.name, size_threshold=1024)
    else:
        onnx.save(model, str(file))


class _Rewriter:
    """Rewrites products of one graph, which stays as it is; weights are converted once, however many Euler steps use them."""

    def __init__(self, model: Any, low: str, emulated: bool) -> None:
        import onnx

        self._onnx, self._emulated = onnx, emulated
        self._low = onnx.TensorProto.FLOAT16 if low == "fp16" else onnx.TensorProto.BFLOAT16
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made: dict[str, Any] = {}  # new constants by name
        self._replaced: set[str] = set()

    def cast_bytes(self, graph: Any) -> None:
        """Casts the inputs of bytes to float32, which all nodes read from then on.

        TensorRT's parser takes no other reader of bytes than a cast, not even a reshape (NVIDIA/TensorRT issue 3985), and the model sorts
        an image's patches while they are bytes. The graph's own casts after that remain and change nothing.
        """
        make, kind = self._onnx.helper.make_node, self._onnx.TensorProto
        inputs = [value.name for value in graph.input if value.type.tensor_type.elem_type == kind.UINT8]
        floats = {name: f"{name}_float" for name in inputs}
        for node in graph.node:
            for place, source in enumerate(node.input):
                node.input[place] = floats.get(source, source)
        for place, (name, cast) in enumerate(floats.items()):
            graph.node.insert(place, make("Cast", [name], [cast], f"{name}_cast", to=kind.FLOAT))

    def rounded(self, product: Any) -> list[Any]:
        """The product in the low precision, between casts."""
        make, name = self._onnx.helper.make_node, product.output[0]
        nodes, sides = [], []
        for place, source in enumerate(product.input):
            side = self._constant(source, self._low) if source in self._weights else f"{name}_low{place}"
            if source not in self._weights:
                nodes.append(make("Cast", [source], [side], f"{name}_cast{place}", to=self._low))
            if self._emulated:
                nodes.append(make("Cast", [side], [f"{name}_wide{place}"], f"{name}_widen{place}", to=self._onnx.TensorProto.FLOAT))
                side = f"{name}_wide{place}"
            sides.append(side)
        outputs = [f"{name}_product"]
        nodes.append(make("MatMul", sides, outputs, product.name))
        if self._emulated:
            nodes.append(make("Cast", outputs, [f"{name}_rounded"], f"{name}_round", to=self._low))
            outputs = [f"{name}_rounded"]
        nodes.append(make("Cast", outputs, [name], f"{name}_back", to=self._onnx.TensorProto.FLOAT))
        return nodes

    def scaled(self, product: Any, largest: float) -> list[Any]:
        """The product of fp8 values, each side with one scale; TensorRT joins it with the conversions around it."""
        make, name, (activation, weight) = self._onnx.helper.make_node, product.output[0], product.input
        scale, zero = self._scalar(f"{name}_scale", max(largest, 1e-6) / FP8_LARGEST), self._fp8_zero()
        nodes = [
            make("QuantizeLinear", [activation, scale, zero], [f"{name}_fp8"], f"{name}_quantise"),
            make("DequantizeLinear", [f"{name}_fp8", scale, zero], [f"{name}_left"], f"{name}_dequantise"),
        ]
        values = self._onnx.numpy_helper.to_array(self._weights[weight]).astype(np.float32)
        spread = max(float(np.abs(values).max()), 1e-12) / FP8_LARGEST
        weight_scale = self._scalar(f"{weight}_scale", spread)
        stored = self._constant(weight, self._onnx.TensorProto.FLOAT8E4M3FN, spread)
        nodes.append(make("DequantizeLinear", [stored, weight_scale, zero], [f"{name}_right"], f"{name}_dequantise_weight"))
        nodes.append(make("MatMul", [f"{name}_left", f"{name}_right"], [name], product.name))
        return nodes

    def add_weights(self, graph: Any) -> None:
        """Adds the new constants, and the weights that something still reads."""
        read = {source for node in graph.node for source in node.input}
        graph.initializer.extend(tensor for name, tensor in self._weights.items() if name not in self._replaced or name in read)
        while self._made:  # each is copied: let go of at once
            graph.initializer.append(self._made.popitem()[1])

    def _constant(self, weight: str, to: int, scale: float = 1.0) -> str:
        """Name of a weight's copy in another type."""
        name = f"{weight}_{self._onnx.TensorProto.DataType.Name(to).lower()}"
        if name not in self._made:
            values = self._onnx.numpy_helper.to_array(self._weights[weight]).astype(np.float32) / np.float32(scale)
            kind = self._onnx.helper.tensor_dtype_to_np_dtype(to)
            if to == self._onnx.TensorProto.FLOAT8E4M3FN:
                values = values.clip(-FP8_LARGEST, FP8_LARGEST)
            self._made[name] = self._onnx.helper.make_tensor(name, to, values.shape, values.astype(kind).tobytes(), raw=True)
            self._replaced.add(weight)
        return name

    def _scalar(self, name: str, value: float) -> str:
        tensor = self._onnx.helper.make_tensor(name, self._onnx.TensorProto.FLOAT, [], [value])
        self._made.setdefault(name, tensor)
        return name

    def _fp8_zero(self) -> str:
        kind = self._onnx.TensorProto.FLOAT8E4M3FN
        self._made.setdefault("fp8_zero", self._onnx.helper.make_tensor("fp8_zero", kind, [], b"\0", raw=True))
        return "fp8_zero"


def _vision_nodes(model: Any) -> set[str]:
    """Names of the nodes that compute image tokens: those of the vision tower's modules, and all that they depend on.

    The tower's attention and patch embedding are functions, which the exporter files under no module.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    waiting = [node for node in model.graph.node if _in_vision(_scopes(node))]
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting += [producers[source] for source in node.input if source in producers]
    return found


def _scopes(node: Any) -> str:
    return next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), "")


def _in_vision(scopes: str | Sequence[str]) -> bool:
    return any(scope in scopes for scope in VISION_SCOPES)
