"""`dial export`: compiles each system to a frozen program and checks its parity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dial_core.cli.options import Checkpoint, console, results
from dial_core.sim.task import EVALUATION_SEEDS_FROM

if TYPE_CHECKING:
    from dial_core.checkpoint.contract import Contract
    from dial_core.inference.export import RecordedObservation


def export(
    checkpoint: Checkpoint,
    system: Annotated[list[int], typer.Option(min=1, max=2, help="1 or 2; may be repeated. Without: both.")] = [1, 2],  # noqa: B006
    format_: Annotated[
        str, typer.Option("--format", help="aoti: compiled for this processor (needs a C++ compiler); onnx: a graph.")
    ] = "aoti",
    flow_steps: Annotated[int, typer.Option(min=1, help="Euler steps of System-1's program.")] = 4,
    noise_seed: Annotated[int, typer.Option(help="Of the noise in System-1's program.")] = 0,
    observations: Annotated[int, typer.Option(min=1, help="Scenes of the tabletop on which program and model are compared.")] = 8,
) -> None:
    """Export each system of a checkpoint as one program: System-2's prefill; System-1's fusion with its whole Euler loop.

    Programs are kept in the user's cache (`DIAL_PROGRAMS` names another folder) under the checkpoint's id; a session, and so
    a node (parameter `runtime`), that is asked for one finds it there. Beside each lies a card: what it was made for, its
    inputs, and how near to the model and how fast it is.
    """
    import torch

    from dial_core.checkpoint.checkpoint import load_checkpoint
    from dial_core.inference.export import export_system

    torch.set_num_threads(1)
    loaded = load_checkpoint(checkpoint)
    seen = _observed(loaded.contract, observations)
    table = Table("program", "largest error", "cosine", "model ms", "program ms", "faster", title=f"{checkpoint.name}: {format_}")
    for number in system:
        console.print(f"System-{number}: exporting and compiling, about a minute", highlight=False)
        file, parity = export_system(loaded, number, format_, seen, flow_steps, noise_seed)  # type: ignore[arg-type]
        console.print(f"  {file}", highlight=False, soft_wrap=True)
        times = (f"{parity.eager_ms:.1f}", f"{parity.program_ms:.1f}", f"{parity.eager_ms / parity.program_ms:.2f}x")
        table.add_row(f"System-{number}", f"{parity.largest_error:.1e}", f"{parity.cosine:.6f}", *times)
    results.print(table)


def _observed(contract: Contract, count: int) -> list[RecordedObservation]:
    """What the robot sees and measures at the beginning of `count` scenes; made up for a robot that the tabletop has not."""
    import numpy as np

    from dial_core.inference.export import RecordedObservation
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
