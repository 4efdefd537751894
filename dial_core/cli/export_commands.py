"""`dial export`: one program for each system, compared with the model; int8 behind a paired evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from dial_core.cli.options import Checkpoint, console, results
from dial_core.errors import DialError
from dial_core.sim.task import EVALUATION_SEEDS_FROM

if TYPE_CHECKING:
    from dial_core.checkpoint.contract import Contract
    from dial_core.inference.program_parity import RecordedObservation

PRECISIONS = {"aoti": ("float32",), "onnx": ("float32", "int8"), "tensorrt": ("bf16", "fp16", "fp8")}  # the default first


def export(
    checkpoint: Checkpoint,
    system: Annotated[list[int], typer.Option(min=1, max=2, help="1 or 2; may be repeated. Without: both.")] = [1, 2],  # noqa: B006
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="aoti: compiled for this processor (needs a C++ compiler); onnx: a graph; tensorrt: an engine for this GPU."
        ),
    ] = "",
    precision: Annotated[
        str, typer.Option(help="aoti: float32; onnx: float32 or int8; tensorrt: bf16, fp16 or fp8. By default the first of these.")
    ] = "",
    flow_steps: Annotated[int, typer.Option(min=1, help="Euler steps in System-1's program.")] = 4,
    noise_seed: Annotated[int, typer.Option(min=-1, help="Seed of the noise in System-1's program; -1: none.")] = -1,
    observations: Annotated[int, typer.Option(min=1, help="Tabletop scenes on which program and model are compared.")] = 8,
    scenes: Annotated[int, typer.Option(min=1, help="int8: scenes that program and model both run before the program is kept.")] = 100,
    task: Annotated[str, typer.Option(help="int8: task of those scenes.")] = "PlacematToPlate",
    out: Annotated[Path, typer.Option(help="int8: folder of the evaluation, which the same command resumes.")] = Path("out/export"),
    workers: Annotated[int, typer.Option(min=1, help="int8: processes of the evaluation.")] = 2,
    force: Annotated[bool, typer.Option(help="int8: keep the programs even if fewer scenes succeed.")] = False,
) -> None:
    """Export each system of a checkpoint as one program: System-2's prefill; System-1's fusion with its whole Euler loop.

    Programs go to the user's cache (`DIAL_PROGRAMS` names another folder), under the checkpoint's id, where sessions and nodes
    (parameter `runtime`) find them. Each has a card (.json): what it depends on, its inputs, its error and its speed; and an
    interface (.yaml, as LEAPP's): name, shape, type, units and scale of every input and output.

    An engine of TensorRT runs only on the GPU and TensorRT version that built it. Without a GPU only its graph is written.
    """
    import torch

    from dial_core.checkpoint.checkpoint import load_checkpoint

    torch.set_num_threads(1)
    loaded = load_checkpoint(checkpoint)
    seen = _observed(loaded.contract, observations)
    chosen = _chosen_format(format_, precision)
    if chosen == "int8":
        if sorted(set(system)) != [1, 2]:
            raise DialError("int8 programs are evaluated together: leave --system out")
        _export_int8(loaded, seen, flow_steps, noise_seed, scenes, task, out, workers, force)
    elif chosen in ("aoti", "onnx"):
        _export_float32(loaded, system, chosen, seen, flow_steps, noise_seed, checkpoint.name)
    else:
        _export_engines(loaded, system, chosen, seen, flow_steps, noise_seed, checkpoint.name)


def _chosen_format(format_: str, precision: str) -> str:
    """aoti, onnx or int8; or bf16, fp16 or fp8, an engine's precision."""
    if not format_:
        format_ = next((name for name, offered in PRECISIONS.items() if precision in offered), "aoti")
    if format_ not in PRECISIONS:
        raise DialError(f"unknown format '{format_}'; formats: {', '.join(PRECISIONS)}")
    offered = PRECISIONS[format_]
    precision = precision or offered[0]
    if precision not in offered:
        raise DialError(f"no format '{format_}' in precision '{precision}'; choose {' or '.join(offered)}")
    return format_ if precision == "float32" else precision


def _export_engines(loaded, systems: list[int], precision: str, seen, flow_steps: int, noise_seed: int, name: str) -> None:
    from dial_core.inference.tensorrt_export import export_engine

    table = Table("program", "rms error", "cosine", "model ms", "program ms", title=f"{name}: tensorrt, {precision}")
    for number in systems:
        console.print(f"System-{number}: exporting", highlight=False)
        made = export_engine(loaded, number, precision, seen, flow_steps, noise_seed)
        rounding, parity = made.rounding, made.parity
        table.add_row(f"System-{number}, graph, emulated", f"{rounding.rms_error:.1e}", f"{rounding.cosine:.6f}", "", "")
        if parity is None:
            console.print(f"  {made.graph}", highlight=False, soft_wrap=True)
            console.print(f"  No engine: {made.reason}. Run the same command on the machine that will run it, or without Python:")
            console.print(f"  {made.command}", highlight=False, soft_wrap=True)
            continue
        console.print(f"  {made.engine}", highlight=False, soft_wrap=True)
        times = f"{parity.eager_ms:.1f}", f"{parity.program_ms:.1f}"
        table.add_row(f"System-{number}, engine", f"{parity.rms_error:.1e}", f"{parity.cosine:.6f}", *times)
    results.print(table)


def _export_float32(loaded, systems: list[int], format_: str, seen, flow_steps: int, noise_seed: int, name: str) -> None:
    from dial_core.inference.export import export_system

    table = Table("program", "largest error", "cosine", "model ms", "program ms", "faster", title=f"{name}: {format_}")
    for number in systems:
        console.print(f"System-{number}: exporting and compiling, about a minute", highlight=False)
        file, parity = export_system(loaded, number, format_, seen, flow_steps, noise_seed)  # type: ignore[arg-type]
        console.print(f"  {file}", highlight=False, soft_wrap=True)
        times = (f"{parity.eager_ms:.1f}", f"{parity.program_ms:.1f}", f"{parity.eager_ms / parity.program_ms:.2f}x")
        table.add_row(f"System-{number}", f"{parity.largest_error:.1e}", f"{parity.cosine:.6f}", *times)
    results.print(table)


def _export_int8(loaded, seen, flow_steps: int, noise_seed: int, scenes: int, task: str, out: Path, workers: int, force: bool) -> None:
    from dial_core.evaluation.closed_loop.protocol import Protocol
    from dial_core.evaluation.studies.precision_gate import export_quantised, gate_page

    protocol = Protocol(tasks=(task,), episodes=scenes, flow_steps=flow_steps, noise_seed=noise_seed)
    folder = out / f"{loaded.contract.model_id}-int8-{protocol.hash}"
    console.print(f"exporting both systems in int8, then {scenes} scenes with each runtime, in {folder}", highlight=False)
    verdict = export_quantised(loaded, seen, protocol, folder, force, workers)
    results.print(Markdown(gate_page(verdict, protocol)))


def _observed(contract: Contract, count: int) -> list[RecordedObservation]:
    """Images and states at the start of `count` tabletop scenes; random ones for a robot that the tabletop does not have."""
    import numpy as np

    from dial_core.inference.program_parity import RecordedObservation
    from dial_core.observation.camera_view import fit_view
    from dial_core.sim.env import TabletopEnv

    env = TabletopEnv(image_size=max(max(view.height, view.width) for view in contract.views))
    cameras = [camera.name for camera in env.world.embodiment.cameras]
    ours = env.world.embodiment.name == contract.embodiment and all(view.name in cameras for view in contract.views)
    rng, seen = np.random.default_rng(0), []
    for seed in range(EVALUATION_SEEDS_FROM, EVALUATION_SEEDS_FROM + count):
        now, _ = env.reset(seed=seed)
        if ours:
            images = tuple(fit_view(now["images"][view.name], view) for view in contract.views)
            state = now["state"]
        else:
            images = tuple(rng.integers(0, 256, (view.height, view.width, 3), np.uint8) for view in contract.views)
            state = rng.normal(0.0, 0.3, contract.state_dim).astype(np.float32)
        seen.append(RecordedObservation(images, now["instruction"], state))
    env.close()
    return seen
