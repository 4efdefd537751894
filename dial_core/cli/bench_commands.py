"""`dial bench`: speed of model, data loading and simulation, and the limits of the device."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dial_core.cli.options import console
from dial_core.errors import DialError

app = typer.Typer(no_args_is_help=True, help="Measure the model's calls, the data's path to it, the world, and the field's peers.")

Device = Annotated[str, typer.Option(help="Where to measure: cpu, cuda or cuda:1.")]
COUNTED = "Where to measure: cpu, cuda or cuda:1; meta: only count parameters, FLOPs and bytes, on no device."


@app.command("model")
def model(
    preset: Annotated[str, typer.Option(help="Model, by its file in config/models/.")] = "dial_tiny",
    device: Annotated[str, typer.Option(help=COUNTED)] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16; by default float32 on a CPU and bfloat16 elsewhere.")] = "",
    flow_steps: Annotated[int, typer.Option(min=1, help="Euler steps of the action decoder.")] = 4,
    calls: Annotated[int, typer.Option(min=5, help="Timed calls of each part.")] = 100,
    runtime: Annotated[
        str, typer.Option(help="Instead: a checkpoint's sessions in these runtimes, in turns, e.g. eager,exported,onnx,int8.")
    ] = "",
    checkpoint: Annotated[str, typer.Option(help="With --runtime: the checkpoint, a folder or a name.")] = "dial_tiny",
) -> None:
    """Time System-2 (prefill), System-1 (chunk) and their parts with random weights, and compare them with the roofline limit.

    The floor is the larger of weights read / memory bandwidth and FLOPs / peak: no implementation can be faster. On a GPU
    each call is one captured CUDA graph. The last line is the whole report as JSON.
    """
    from dial_core.benchmarks.model_calls import bench_model, table_of

    if runtime:
        from dial_core.benchmarks.runtimes import bench_runtimes, table_of_runtimes
        from dial_core.checkpoint.location import checkpoint_folder

        if dtype:
            raise DialError("--dtype is for random weights; leave it out with --runtime, whose sessions choose theirs by the device")
        rows = bench_runtimes(str(checkpoint_folder(checkpoint)), runtime.split(","), calls, flow_steps, device)
        console.print(table_of_runtimes(rows, checkpoint, device))
        print(json.dumps([asdict(row) for row in rows]))
        return
    report = bench_model(preset, device, dtype, flow_steps, calls)
    console.print(table_of(report))
    peaks = f"{report.roofline.bytes_per_s / 1e9:,.1f} GB/s, {report.roofline.flops_per_s / 1e12:,.2f} TFLOP/s"
    console.print(f"roofline: {peaks} ({report.roofline.source})", highlight=False)
    print(report.to_json())


@app.command("data")
def data(
    dataset: Annotated[Path | None, typer.Argument(help="Dataset folder; with --size: where to make one (by default here).")] = None,
    size: Annotated[
        str, typer.Option(help="Instead: synthetic datasets of EPISODESxFRAMES, e.g. 240x250,24000x250: opening, memory, draws.")
    ] = "",
    workers: Annotated[str, typer.Option(help="Numbers of decoding processes to try, e.g. 0,1,2,4.")] = "0,1,2",
    size_px: Annotated[int, typer.Option(min=16, help="Side of the model's image [px].")] = 224,
    step_ms: Annotated[
        float, typer.Option(min=0, help="Time of a training step, from its log [ms]; the rates are compared with it.")
    ] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples that this machine draws for each step.")] = 32,
    budget_s: Annotated[float, typer.Option(min=0.1, help="Time for each number of processes [s].")] = 10.0,
) -> None:
    """Time the path from video to a training batch: seek, decode, augment, resize, by number of worker processes.

    Choose the smallest `dial train --loader-workers` whose rate is above what a step needs.

    With --size: what opening a dataset and drawing from it cost, by the number of its episodes.
    """
    from dial_core.benchmarks.data_loading import bench_loading, table_of

    if size:
        from dial_core.benchmarks.data_size import Size, bench_size, table_of_sizes

        reports = bench_size([Size.parse(text) for text in size.split(",")], dataset or Path())
        console.print(table_of_sizes(reports))
        print(json.dumps([asdict(report) for report in reports]))
        return
    if dataset is None:
        raise DialError("name a dataset folder, or `--size EPISODESxFRAMES` for a synthetic one")
    rates = bench_loading(dataset, [int(count) for count in workers.split(",")], size_px, budget_s=budget_s)
    console.print(table_of(rates, size_px, step_ms / 1e3 or None, batch_size))
    print(json.dumps([asdict(rate) for rate in rates]))


@app.command("peers")
def peers(
    python: Annotated[Path, typer.Option(help="Interpreter of an environment with lerobot.")] = Path(".venv-peers/bin/python"),
    preset: Annotated[str, typer.Option(help="Our model, by its file in config/models/.")] = "qwen2_5_vl_3b",
    device: Device = "cuda",
    calls: Annotated[int, typer.Option(min=5, help="Timed calls of each.")] = 100,
) -> None:
    """Time GR00T N1.7 and pi0 (random weights, as the lerobot package runs them) beside DIAL on this device.

    They need an environment of their own, as lerobot pins older libraries:
    `python -m venv .venv-peers && .venv-peers/bin/pip install "lerobot[groot,pi]==0.6.2"`.
    """
    from dial_core.benchmarks.peers import race, table_of

    rows = race(preset, python, device, calls)
    console.print(table_of(rows, device))
    print(json.dumps(rows))


@app.command("gpu")
def gpu(
    out: Annotated[Path, typer.Option(help="Folder for gpu.json and gpu.md.")] = Path("out/gpu"),
    device: Device = "cuda",
    preset: Annotated[str, typer.Option(help="Model of the full-size checks, by its file in config/models/.")] = "qwen2_5_vl_3b",
    only: Annotated[str, typer.Option(help="Checks to run, e.g. sessions,training; all if left out.")] = "",
) -> None:
    """Run every check that needs a GPU, in under nine minutes: sessions, latency, both systems at once, training step, memory, resume.

    Each check runs in a process of its own, so that a crash costs one row. The exit status is 1 if one failed.
    """
    from dial_core.benchmarks.gpu_report import page, run_checks

    results = run_checks([name for name in only.split(",") if name], device, preset, out)
    print(page(results, device, preset))
    console.print(f"{out}/gpu.json, {out}/gpu.md")
    if any(result.outcome in ("failed", "broken") for result in results):
        raise typer.Exit(1)


@app.command("world")
def world(
    task: Annotated[list[str], typer.Option(help="Task, by its file in config/tasks/; may be repeated.")] = [  # noqa: B006
        "PlacematToPlate",
        "TrayToTieredbasket",
        "WineToCabinetClose",
    ],
    steps: Annotated[int, typer.Option(min=20, help="Control steps timed of each task.")] = 300,
    image_px: Annotated[int, typer.Option(min=16, help="Side of the image [px].")] = 128,
) -> None:
    """Time a control step of the simulation: 50 ms of physics, one image, the observation.

    The budget is 33 ms on one CPU core. A reset compiles the scene's model where a task has more types of things than one
    model should hold. The last line is the whole report as JSON.
    """
    from dial_core.benchmarks.world_steps import bench_world, json_of, table_of

    rows = bench_world(tuple(task), steps, image_px)
    console.print(table_of(rows, image_px))
    print(json_of(rows, image_px))
