"""`dial export --format tensorrt`: a typed graph, its rounding measured on the CPU, and, where there is a GPU, its engine.

The graph is made on any machine. The engine is made by the same command on the machine that will run it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.errors import DialError
from dial_core.inference.export import TracedSystem, candidate, longest_prompt, trace_system, write_card, write_onnx
from dial_core.inference.interface_file import write_interface
from dial_core.inference.program_parity import ProgramParity, RecordedObservation, compare
from dial_core.inference.programs import Program, load_program, open_onnx, runtime_for
from dial_core.inference.tensorrt_engine import Shapes, build_engine, trtexec_command, why_no_engine
from dial_core.inference.typed_graph import folded, inputs_to_scale, save_graph, typed, with_probes
from dial_core.model.flow_matching import NO_NOISE

COSINE = {"bf16": 0.999, "fp16": 0.999, "fp8": 0.97}  # smallest similarity with the model; below, rounding itself failed
FURTHER_WORDS = 128  # tokens beyond the traced prompt's that an engine accepts: tactics are chosen for short prompts


@dataclass(frozen=True)
class EngineExport:
    """What was made of one system.

    Attributes:
        graph: the typed graph.
        rounding: it, with its rounding emulated on the CPU, against the model; no times.
        engine, parity: the engine and its comparison with the model on the CPU; None where none can be built.
        reason: why there is none.
        command: builds it without Python.
    """

    graph: Path
    rounding: ProgramParity
    engine: Path | None
    parity: ProgramParity | None
    reason: str
    command: str


def export_engine(
    checkpoint: Checkpoint,
    system: int,
    precision: str,
    observations: Sequence[RecordedObservation],
    flow_steps: int = 4,
    noise_seed: int = NO_NOISE,
) -> EngineExport:
    """Writes the typed graph of a system and, on a machine with GPU and TensorRT, its engine.

    Args:
        precision: bf16, fp16 or fp8; what it means for each product: `typed_graph`.
        observations: at least one; the first is traced, all calibrate fp8 and are compared.

    Raises:
        DialError: unknown system or precision, a missing package, a graph that TensorRT refuses, or outputs too far from the model's.
    """
    runtime = runtime_for(f"tensorrt-{precision}", torch.device("cuda"))
    traced = trace_system(checkpoint, system, runtime, observations, flow_steps, noise_seed)
    rounding = _write_typed_graph(traced, precision, observations)
    write_interface(traced.spec.graph, checkpoint, traced.spec, dict(zip(traced.spec.inputs, traced.inputs, strict=True)))
    shapes = varying_shapes(traced)
    command, reason = trtexec_command(traced.spec.graph, shapes), why_no_engine()
    if reason:
        return EngineExport(traced.spec.graph, rounding, None, None, reason, command)
    file = traced.spec.file
    with candidate(file) as built:
        build_engine(traced.spec.graph, shapes, built)
        program = _on_gpu(load_program(traced.spec, built))
        parity = compare(traced.session, traced.session.computing_with(program), observations, traced.call)
        if parity.cosine < COSINE[precision]:
            raise DialError(f"the {precision} engine of System-{system} differs from the model: {asdict(parity)}; it was not kept")
    write_card(traced, checkpoint, file, parity, rounding=asdict(rounding))
    return EngineExport(traced.spec.graph, rounding, file, parity, "", command)


def varying_shapes(traced: TracedSystem) -> dict[str, Shapes]:
    """Smallest, usual and largest shape of the inputs whose shape varies: those of System-2's prompt."""
    if traced.spec.system == 1:
        return {}
    usual = traced.inputs[1].shape[1]
    lengths = min(usual, 16), usual, min(usual + FURTHER_WORDS, longest_prompt(traced.session))
    queries = traced.session.model.arch.foresight_tokens
    words: Any = tuple((1, length) for length in lengths)
    places: Any = tuple((3, 1, length + queries) for length in lengths)
    return {"input_ids": words, "attention_mask": words, "positions": places}


def _write_typed_graph(traced: TracedSystem, precision: str, observations: Sequence[RecordedObservation]) -> ProgramParity:
    spec = traced.spec
    with candidate(spec.graph) as final:
        staging = final.parent
        write_onnx(traced.program, spec, staging / "float32.onnx")
        graph = folded(staging / "float32.onnx")
        largest = _largest_values(graph, traced, observations, staging) if precision == "fp8" else {}
        emulated = staging / "emulated.onnx"
        save_graph(typed(graph, precision, largest, emulated=True), emulated)
        program = open_onnx(emulated, spec.inputs, exactly=True)
        rounding = compare(traced.session, traced.session.computing_with(program), observations, traced.call, turns=0)
        if rounding.cosine < COSINE[precision]:
            raise DialError(
                f"rounding to {precision} changes System-{spec.system} too much: {asdict(rounding)}; choose another --precision"
            )
        save_graph(typed(graph, precision, largest), final)
    return rounding


def _largest_values(graph: Any, traced: TracedSystem, observations: Sequence[RecordedObservation], staging: Path) -> dict[str, float]:
    """Activation -> largest absolute value on the observations."""
    names = inputs_to_scale(graph)
    save_graph(with_probes(graph, names), staging / "probes.onnx")
    probes = open_onnx(staging / "probes.onnx", traced.spec.inputs)
    largest = dict.fromkeys(names, 0.0)

    def recording(*inputs: torch.Tensor) -> Any:
        for name, values in zip(names, probes(*inputs), strict=True):
            largest[name] = max(largest[name], float(values.abs().max()))
        return traced.session.function(*inputs)

    recorder = traced.session.computing_with(recording)
    for seen in observations:
        traced.call(recorder, seen)
    return largest


def _on_gpu(program: Program) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The program for inputs and outputs in the computer's memory."""
    return lambda *inputs: tuple(output.cpu() for output in program(*(tensor.cuda() for tensor in inputs)))
