"""`dial export`: traces a system into one program, compiled or as a graph, and compares it with the model on observations."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_write, write_json
from dial_core.inference.programs import FORMATS, ProgramSpec, Runtime, int8_weight_bits
from dial_core.inference.sessions import System1Session, System2Session

TOLERANCE = 1e-3  # largest error over the outputs' standard deviation; float32 programs are at 1e-6
INT8_COSINE = 0.98  # smallest cosine similarity; below that quantisation itself failed, and there is nothing to evaluate
TIMED_CALLS = 20


@dataclass(frozen=True)
class RecordedObservation:
    """Inputs of both systems at one time: images uint8 (H, W, 3) of every camera, the instruction, the state (S,)."""

    images: tuple[np.ndarray, ...]
    instruction: str
    state: np.ndarray


@dataclass(frozen=True)
class ProgramParity:
    """A program compared with the eager model on the same observations.

    Attributes:
        observations: their number.
        largest_error: of any output value, over the standard deviation of the model's outputs.
        rms_error: root mean square of all output values' errors, over the same.
        cosine: smallest cosine similarity of an output with the model's.
        eager_ms, program_ms: median time of a call, measured in turns.
    """

    observations: int
    largest_error: float
    rms_error: float
    cosine: float
    eager_ms: float
    program_ms: float


class _Traced(nn.Module):
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
    noise_seed: int = 0,
) -> tuple[Path, ProgramParity]:
    """Writes the program of a system into the folder of exported programs; returns its file and its parity with the model.

    Args:
        observations: at least one; the first is traced, all are compared. One program takes prompts of any length.

    Raises:
        DialError: unknown system or format, a missing package, or outputs that differ by more than the precision explains.
    """
    if system not in (1, 2):
        raise DialError(f"there is no System-{system}; choose --system 1 or 2")
    if runtime not in FORMATS:
        raise DialError(f"unknown format '{runtime}'; formats: {', '.join(FORMATS)}")
    system2 = System2Session(checkpoint)
    if system == 2:
        session: System1Session | System2Session = system2
    else:
        session = System1Session(checkpoint, flow_steps=flow_steps, noise_seed=noise_seed)
    call = _caller(system, observations, system2)
    call(session, observations[0])  # fills what modules cache between calls with real tensors, not with the exporter's
    spec, inputs = session.spec(runtime), session.example(observations[0].images, observations[0].instruction)
    traced = _trace(session, inputs, system)
    with atomic_write(spec.file) as partial:
        _write(traced, spec, partial)
    write_json(spec.file.with_suffix(".json"), {"facts": spec.facts})
    parity = _compare(session, _opened(checkpoint, spec), observations, call)
    if not (parity.cosine >= INT8_COSINE if runtime == "int8" else parity.largest_error <= TOLERANCE):
        spec.file.unlink()
        raise DialError(f"the {runtime} program of System-{system} differs from the model: {asdict(parity)}; it was not kept")
    write_json(spec.file.with_suffix(".json"), {"facts": spec.facts, "inputs": _shapes(spec, inputs), "parity": asdict(parity)})
    return spec.file, parity


def _caller(system: int, observations: Sequence[RecordedObservation], system2: System2Session) -> Callable[..., np.ndarray]:
    """(session, observation) -> the system's output for it."""
    if system == 2:
        return lambda session, seen: session.foresight(seen.images[0], seen.instruction)
    foresights = {id(seen): system2.foresight(seen.images[0], seen.instruction) for seen in observations}
    return lambda session, seen: session.chunk(seen.images, foresights[id(seen)], seen.state)


def _opened(checkpoint: Checkpoint, spec: ProgramSpec) -> System1Session | System2Session:
    if spec.system == 2:
        return System2Session(checkpoint, runtime=spec.runtime)
    return System1Session(checkpoint, flow_steps=spec.flow_steps, noise_seed=spec.noise_seed, runtime=spec.runtime)


def _trace(session: System1Session | System2Session, inputs: tuple[torch.Tensor, ...], system: int):
    shapes: tuple = (None,) * len(inputs)
    if system == 2:  # the number of words varies, and with it the positions of the queries after them
        length = inputs[1].shape[1]
        words = torch.export.Dim("words", min=min(length, 16), max=_longest(session))
        shapes = (None, {1: words}, {1: words}, {2: words + (inputs[3].shape[2] - length)})
    with torch.no_grad(), _products_apart_from_biases(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            _Traced(session.model, session.function).eval(),
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


def _longest(session: System1Session | System2Session) -> int:
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
        _write_onnx(traced, spec.inputs, file)
    else:
        graph = file.with_name(f"{file.name}.float32")
        try:
            _write_onnx(traced, spec.inputs, graph)
            _quantise(graph, file)
        finally:
            graph.unlink(missing_ok=True)


def _write_onnx(traced, inputs: list[str], file: Path) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DialError("ONNX graphs need the exporter's packages: `pip install onnx onnxscript onnxruntime`") from error
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(traced, input_names=inputs, dynamo=True, verbose=False)
        assert program is not None
        program.save(str(file))


def _quantise(graph: Path, file: Path) -> None:
    """Writes a graph with int8 weights, a scale for each output channel; activations are scaled at every call (dynamic).

    Only products with weights are quantised: attention, norms and sums stay in float32.
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
                extra_options={"MatMulConstBOnly": True},
            )
    finally:
        folded.unlink(missing_ok=True)


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


def _compare(
    eager: System1Session | System2Session,
    program: System1Session | System2Session,
    observations: Sequence[RecordedObservation],
    call: Callable[..., np.ndarray],
) -> ProgramParity:
    pairs = [(call(eager, seen), call(program, seen)) for seen in observations]
    spread = float(np.std(np.stack([ours for ours, _ in pairs])))
    errors = np.stack([theirs - ours for ours, theirs in pairs]) / spread
    cosines = [float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs]
    times_s: tuple[list[float], list[float]] = ([], [])
    for turn in range(TIMED_CALLS):
        for session, taken in zip((eager, program), times_s, strict=True):
            started = time.perf_counter()
            call(session, observations[turn % len(observations)])
            taken.append(time.perf_counter() - started)
    eager_ms, program_ms = (round(1e3 * median(taken), 2) for taken in times_s)
    largest, rms = float(np.abs(errors).max()), float(np.sqrt(np.square(errors).mean()))
    return ProgramParity(len(pairs), largest, rms, min(cosines), eager_ms, program_ms)


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
