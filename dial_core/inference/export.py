"""`dial export`: one frozen program of a system, compiled or as a graph, with a card that says how near it is to the model."""

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

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_write, write_json
from dial_core.inference.programs import ProgramSpec, Runtime
from dial_core.inference.sessions import System1Session, System2Session

TOLERANCE = 1e-3  # of the output's own spread; float32 programs are at 1e-6
TIMED_CALLS = 20


@dataclass(frozen=True)
class RecordedObservation:
    """What both systems get in one moment: images uint8 (H, W, 3) of every camera, the instruction, the state (S,)."""

    images: tuple[np.ndarray, ...]
    instruction: str
    state: np.ndarray


@dataclass(frozen=True)
class ProgramParity:
    """A program against the model itself, on the same observations.

    Attributes:
        observations: how many.
        largest_error: of any output value, over the standard deviation of the model's own outputs.
        cosine: smallest cosine similarity of an output with the model's.
        eager_ms, program_ms: median time of a call, in turns.
    """

    observations: int
    largest_error: float
    cosine: float
    eager_ms: float
    program_ms: float


class _Traced(nn.Module):
    """A session's computation as a module, so that the exporter finds its weights."""

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
    """Writes the program of a system to its place among the exported programs; returns the file and its parity with the model.

    Args:
        observations: at least one; the first is traced, all are compared. Prompts of any length run in the same program.

    Raises:
        DialError: unknown system or format, a missing package, or outputs that differ by more than float32's rounding.
    """
    if system not in (1, 2):
        raise DialError(f"there is no System-{system}; choose --system 1 or 2")
    if runtime not in ("aoti", "onnx"):
        raise DialError(f"unknown format '{runtime}'; formats: aoti, onnx")
    system2 = System2Session(checkpoint)
    if system == 2:
        session: System1Session | System2Session = system2
    else:
        session = System1Session(checkpoint, flow_steps=flow_steps, noise_seed=noise_seed)
    call = _caller(system, observations, system2)
    call(session, observations[0])  # what modules keep between calls is made by real tensors, not by the exporter's
    spec, inputs = session.spec(runtime), session.example(observations[0].images, observations[0].instruction)
    traced = _trace(session, inputs, system)
    with atomic_write(spec.file) as partial:
        _write(traced, spec, partial)
    write_json(spec.file.with_suffix(".json"), {"facts": spec.facts})
    parity = _compare(session, _opened(checkpoint, spec), observations, call)
    if not parity.largest_error <= TOLERANCE:
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
    if system == 2:  # the words of an instruction, and the queries after them
        length = inputs[1].shape[1]
        words = torch.export.Dim("words", min=min(length, 16), max=_longest(session))
        shapes = (None, {1: words}, {1: words}, {2: words + (inputs[3].shape[2] - length)})
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            _Traced(session.model, session.function).eval(),
            inputs,
            dynamic_shapes=(shapes,),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def _longest(session: System1Session | System2Session) -> int:
    arch = session.model.arch
    return arch.text.max_positions - arch.foresight_tokens


def _write(traced, spec: ProgramSpec, file: Path) -> None:
    if spec.runtime == "aoti":
        # The packager insists on its suffix.
        package = file.with_name(f"{file.name}.pt2")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch._inductor.aoti_compile_and_package(traced, package_path=str(package))
        package.replace(file)
        return
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DialError("format onnx needs the exporter's packages: `pip install onnx onnxscript onnxruntime`") from error
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(traced, input_names=spec.inputs, dynamo=True, verbose=False)
        assert program is not None
        program.save(str(file))


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Without a library's warnings of other libraries that are not installed."""
    log = logging.getLogger(logger)
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
    errors = [float(np.abs(ours - theirs).max()) / spread for ours, theirs in pairs]
    cosines = [float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs]
    times_s: tuple[list[float], list[float]] = ([], [])
    for turn in range(TIMED_CALLS):
        for session, taken in zip((eager, program), times_s, strict=True):
            started = time.perf_counter()
            call(session, observations[turn % len(observations)])
            taken.append(time.perf_counter() - started)
    eager_ms, program_ms = (round(1e3 * median(taken), 2) for taken in times_s)
    return ProgramParity(len(pairs), max(errors), min(cosines), eager_ms, program_ms)


def _shapes(spec: ProgramSpec, inputs: tuple[torch.Tensor, ...]) -> dict[str, str]:
    """Name -> dtype and shape, for whoever calls the program from another language; `words` varies."""
    shapes = {}
    for name, tensor in zip(spec.inputs, inputs, strict=True):
        sides = [str(side) for side in tensor.shape]
        if name in ("input_ids", "attention_mask"):
            sides[1] = "words"
        elif name == "positions":
            sides[2] = f"words + {tensor.shape[2] - inputs[1].shape[1]}"
        shapes[name] = f"{str(tensor.dtype).removeprefix('torch.')} ({', '.join(sides)})"
    return shapes
