"""`dial export`: traces a system into one program, compiled or as a graph, and compares it with the model on observations."""

from __future__ import annotations

import logging
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_write, write_json
from dial_core.files.disk_space import disk_errors
from dial_core.inference.interface_file import write_interface
from dial_core.inference.program_parity import ProgramParity, RecordedObservation, compare
from dial_core.inference.programs import FORMATS, ProgramSpec, Runtime, int8_weight_bits, load_program
from dial_core.inference.sessions import System1Session, System2Session
from dial_core.model.flow_matching import NO_NOISE

TOLERANCE = 1e-3  # largest error over the outputs' standard deviation; float32 programs are at 1e-6
INT8_COSINE = 0.98  # smallest cosine similarity; below that quantisation itself failed, and there is nothing to evaluate
# Products that int8 programs keep in float32: what reads and writes actions, states and foresights, and the language model's
# projections back from its gated units, whose few large values distort the scale of all others. 0.0098 -> 0.0059 of a chunk's standard
# deviation, 0.015 -> 0.006 of a foresight's, for at most a tenth more time.
KEPT_IN_FLOAT32 = re.compile(r"\.(action_encoder|state_encoder|action_head|foresight_head|language_model\..*\.down_proj)\b")


@dataclass(frozen=True)
class TracedSystem:
    """A session's computation, traced.

    Attributes:
        session: the eager session.
        spec: of the program to be.
        inputs: example tensors, as the computation takes them.
        program: what torch.export made.
        call: (session, observation) -> the system's output for it.
    """

    session: System1Session | System2Session
    spec: ProgramSpec
    inputs: tuple[torch.Tensor, ...]
    program: torch.export.ExportedProgram
    call: Callable[..., np.ndarray]


class _Module(nn.Module):
    """A session's computation as a module, in which the exporter finds its weights."""

    def __init__(self, model: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: torch.Tensor):
        return self.function(*inputs)


def export_system(
    checkpoint: Checkpoint,
    system: int,
    runtime: Runtime,
    observations: Sequence[RecordedObservation],
    flow_steps: int = 4,
    noise_seed: int = NO_NOISE,
) -> tuple[Path, ProgramParity]:
    """Writes the program of a system into the folder of exported programs; returns its file and its parity with the model.

    Args:
        observations: at least one; the first is traced, all are compared. One program takes prompts of any length.

    Raises:
        DialError: unknown system or format, a missing package, or outputs that differ by more than the precision explains.
    """
    if runtime not in FORMATS:
        raise DialError(f"unknown format '{runtime}'; formats: {', '.join(FORMATS)}")
    traced = trace_system(checkpoint, system, runtime, observations, flow_steps, noise_seed)
    session, spec = traced.session, traced.spec
    with candidate(spec.file) as file:
        _write(traced.program, spec, file)
        parity = compare(session, session.computing_with(load_program(spec, file)), observations, traced.call)
        if not (parity.cosine >= INT8_COSINE if runtime == "int8" else parity.largest_error <= TOLERANCE):
            raise DialError(f"the {runtime} program of System-{system} differs from the model: {asdict(parity)}; it was not kept")
    write_card(traced, checkpoint, spec.file, parity)
    return spec.file, parity


@contextmanager
def candidate(file: Path) -> Iterator[Path]:
    """Yields a path of the same name in a hidden folder; what was written there becomes `file` when the block ends without an error.

    What raises in the block leaves an earlier program as it was: no session finds one that has not been compared with the model.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(file.parent, file.name), TemporaryDirectory(dir=file.parent, prefix=".candidate-") as folder:
        yield Path(folder) / file.name
        # The weights of a large graph come before the graph that names them.
        for made in sorted(Path(folder).glob(f"{file.name}*"), reverse=True):
            with atomic_write(file.parent / made.name) as partial:
                shutil.copyfile(made, partial)


def trace_system(
    checkpoint: Checkpoint,
    system: int,
    runtime: Runtime,
    observations: Sequence[RecordedObservation],
    flow_steps: int = 4,
    noise_seed: int = NO_NOISE,
) -> TracedSystem:
    """Traces a system on the first observation.

    Raises:
        DialError: unknown system.
    """
    if system not in (1, 2):
        raise DialError(f"there is no System-{system}; choose --system 1 or 2")
    system2 = System2Session(checkpoint)
    if system == 2:
        session: System1Session | System2Session = system2
    else:
        session = System1Session(checkpoint, flow_steps=flow_steps, noise_seed=noise_seed)
    call = _caller(system, observations, system2)
    call(session, observations[0])  # fills what modules cache between calls with real tensors, not with the exporter's
    inputs = session.example(observations[0].images, observations[0].instruction)
    return TracedSystem(session, session.spec(runtime), inputs, _trace(session, inputs, system), call)


def write_card(traced: TracedSystem, checkpoint: Checkpoint, file: Path, parity: ProgramParity, **further: Any) -> None:
    """Writes a program's interface (`interface_file`) and its card beside it; the card comes last, as no program is used without one."""
    spec, inputs = traced.spec, traced.inputs
    card = {"facts": spec.facts, "inputs": _shapes(spec, inputs), "parity": asdict(parity), **further}
    write_interface(file, checkpoint, spec, dict(zip(spec.inputs, inputs, strict=True)))
    write_json(file.with_suffix(".json"), card | {"contract": checkpoint.contract.model_dump(mode="json")})


def _caller(system: int, observations: Sequence[RecordedObservation], system2: System2Session) -> Callable[..., np.ndarray]:
    """(session, observation) -> the system's output for it."""
    if system == 2:
        return lambda session, seen: session.foresight(seen.images[0], seen.instruction)
    foresights = {id(seen): system2.foresight(seen.images[0], seen.instruction) for seen in observations}
    return lambda session, seen: session.chunk(seen.images, foresights[id(seen)], seen.state)


def _trace(session: System1Session | System2Session, inputs: tuple[torch.Tensor, ...], system: int):
    shapes: tuple = (None,) * len(inputs)
    if system == 2:  # the number of words varies, and with it the positions of the queries after them
        length = inputs[1].shape[1]
        words = torch.export.Dim("words", min=min(length, 16), max=longest_prompt(session))
        shapes = (None, {1: words}, {1: words}, {2: words + session.model.arch.foresight_tokens})
    with torch.no_grad(), _products_apart_from_biases(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            _Module(session.model, session.function).eval(),
            inputs,
            dynamic_shapes=(shapes,),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextmanager
def _products_apart_from_biases() -> Iterator[None]:
    """Traces linear layers as a product and a sum, so that the compiler adds the bias where it next touches the values.

    As one operation (`addmm`) the bias is first copied to every row of the output: a fifteenth of System-2's time.
    """

    def linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        product = input @ weight.t()
        return product if bias is None else product + bias

    original, functional.linear = functional.linear, linear
    try:
        yield
    finally:
        functional.linear = original


def longest_prompt(session: System1Session | System2Session) -> int:
    """Largest number of tokens before the foresight queries."""
    arch = session.model.arch
    return arch.text.max_positions - arch.foresight_tokens


def _write(traced, spec: ProgramSpec, file: Path) -> None:
    if spec.runtime == "aoti":
        package = file.with_name(f"{file.name}.pt2")  # the packager insists on its suffix
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch._inductor.aoti_compile_and_package(traced, package_path=str(package))
        package.replace(file)
    elif spec.runtime == "onnx":
        write_onnx(traced, spec, file)
    else:
        graph = file.with_name(f"{file.name}.float32")
        try:
            write_onnx(traced, spec, graph)
            _quantise(graph, file)
        finally:
            graph.unlink(missing_ok=True)


def write_onnx(traced: torch.export.ExportedProgram, spec: ProgramSpec, file: Path) -> None:
    """Writes a traced system as a graph in float32.

    Raises:
        DialError: the exporter's packages are missing.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DialError("ONNX graphs need the exporter's packages: `pip install onnx onnxscript onnxruntime`") from error
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(traced, input_names=spec.inputs, output_names=spec.outputs, dynamo=True, verbose=False)
        assert program is not None
        program.save(str(file))


def _quantise(graph: Path, file: Path) -> None:
    """Writes a graph with int8 weights, a scale for each output channel; activations are scaled at every call (dynamic).

    Only products with weights are quantised, but those of `KEPT_IN_FLOAT32`: attention, norms and sums stay in float32.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.preprocess import quant_pre_process
    except ImportError as error:
        raise DialError("int8 programs need ONNX Runtime: `pip install onnx onnxruntime`") from error
    folded = graph.with_name(f"{graph.name}.folded")
    try:
        with _quiet("root"):
            quant_pre_process(str(graph), str(folded), skip_symbolic_shape=True)  # transposed weights become constants
            quantize_dynamic(
                folded,
                file,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=int8_weight_bits() < 8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_kept_products(graph),
                extra_options={"MatMulConstBOnly": True},
            )
    finally:
        folded.unlink(missing_ok=True)


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
def _quiet(logger: str) -> Iterator[None]:
    """Suppresses what a library logs below an error."""
    log = logging.getLogger(None if logger == "root" else logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _shapes(spec: ProgramSpec, inputs: tuple[torch.Tensor, ...]) -> dict[str, str]:
    """Name -> dtype and shape of every input, for callers in other languages; `words` varies."""
    shapes = {}
    for name, tensor in zip(spec.inputs, inputs, strict=True):
        sides = [str(side) for side in tensor.shape]
        if name in ("input_ids", "attention_mask"):
            sides[1] = "words"
        elif name == "positions":
            sides[2] = f"words + {tensor.shape[2] - inputs[1].shape[1]}"
        shapes[name] = f"{str(tensor.dtype).removeprefix('torch.')} ({', '.join(sides)})"
    return shapes
