"""`dial export`: traces a system into one program, compiled or as a graph, and compares it with the model on observations."""

from __future__ import annotations

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
from dial_core.inference.programs import FORMATS, ProgramSpec, Runtime, load_program
from dial_core.inference.quantise import quantise, quiet
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.typed_graph import LARGEST_FILE
from dial_core.model.flow_matching import NO_NOISE

TOLERANCE = 1e-3  # largest error over the outputs' standard deviation; float32 programs are at 1e-6
INT8_COSINE = 0.98  # smallest cosine similarity; below that quantisation itself failed, and there is nothing to evaluate


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
        with TemporaryDirectory(dir=file.parent, prefix=".float32-") as folder:  # a large graph is several files
            graph = Path(folder) / file.name
            write_onnx(traced, spec, graph)
            quantise(graph, file)


def write_onnx(traced: torch.export.ExportedProgram, spec: ProgramSpec, file: Path) -> None:
    """Writes a traced system as a graph in float32; weights beyond `LARGEST_FILE` go to `<file>.data` beside it.

    Raises:
        DialError: the exporter's packages are missing.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DialError("ONNX graphs need the exporter's packages: `pip install onnx onnxscript onnxruntime`") from error
    with warnings.catch_warnings(), quiet("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(traced, input_names=spec.inputs, output_names=spec.outputs, dynamo=True, verbose=False)
        assert program is not None
        weights = (value.const_value for value in program.model.graph.initializers.values())
        large = sum(tensor.nbytes for tensor in weights if tensor is not None) > LARGEST_FILE
        program.save(str(file), external_data=large)


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
