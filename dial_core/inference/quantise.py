"""Quantises a graph: int8 weights, a scale for each output channel; activations are scaled at every call (dynamic)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dial_core.errors import DialError
from dial_core.inference.programs import int8_weight_bits

# Products that int8 programs keep in float32: what reads and writes actions, states and foresights, and the language model's
# projections back from its gated units, whose few large values distort the scale of all others. 0.0098 -> 0.0059 of a chunk's standard
# deviation, 0.015 -> 0.006 of a foresight's, for at most a tenth more time.
KEPT_IN_FLOAT32 = re.compile(r"\.(action_encoder|state_encoder|action_head|foresight_head|language_model\..*\.down_proj)\b")


def quantise(graph: Path, file: Path) -> None:
    """Writes the graph in `graph` to `file` with int8 weights.

    Only products with weights are quantised, but those of `KEPT_IN_FLOAT32`: attention, norms and sums stay in float32. A graph whose
    weights lie in a file of their own (`<graph>.data`) is written in the same way, with `<file>.data`. What is made on the way, as large as
    `graph`, lies in a hidden folder beside `file` until then.

    Raises:
        DialError: ONNX Runtime is not installed.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise DialError("int8 programs need ONNX Runtime: `pip install onnx onnxruntime`") from error
    with TemporaryDirectory(dir=file.parent, prefix=".quantise-") as folder, quiet("root"):
        quantize_dynamic(
            _with_constant_weights(graph, Path(folder)),
            file,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=int8_weight_bits() < 8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_kept_products(graph),
            use_external_data_format=weights_of(graph).exists(),
            extra_options={"MatMulConstBOnly": True},
        )


def weights_of(graph: Path) -> Path:
    """The file beside a large graph that holds its weights."""
    return graph.with_name(f"{graph.name}.data")


def _with_constant_weights(graph: Path, folder: Path) -> Path:
    """Writes the graph with everything constant computed, transposed weights among it, and returns its path in `folder`.

    ONNX Runtime's `quant_pre_process` does the same, but holds a large graph in memory twice, and its copies in the system's temporary
    folder, which may be memory too.
    """
    import onnxruntime

    folded = folder / "folded.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(1 << 40))  # ONNX Runtime's choice: 1 GB
    options.add_session_config_entry("session.disable_prepacking", "1")  # copies for products that are never computed
    if weights_of(graph).exists():
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights_of(folded).name)
    onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return folded


def _kept_products(graph: Path) -> list[str]:
    """Names of the graph's products that stay in float32, before and after ONNX Runtime joins a product with the sum that follows."""
    import onnx

    kept = []
    for node in onnx.load(graph, load_external_data=False).graph.node:
        modules = next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), "")
        if node.op_type == "MatMul" and KEPT_IN_FLOAT32.search(modules):
            kept += [node.name, f"{node.name}/MatMulAddFusion_MatMul"]
    return kept


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Suppresses what a library logs below an error."""
    log = logging.getLogger(None if logger == "root" else logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
