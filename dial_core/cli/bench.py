"""`dial bench`: how fast the model is, and how far from what the device allows."""

from __future__ import annotations

from typing import Annotated

import typer

from dial_core.cli.options import console

app = typer.Typer(no_args_is_help=True, help="Measure: the model's calls, the data's path to it, and the field's peers.")

Device = Annotated[str, typer.Option(help="cpu, cuda (cuda:1), or meta: count parameters, FLOPs and bytes of any size on no device.")]


@app.command("model")
def model(
    preset: Annotated[str, typer.Option(help="Model, by its file in config/models/.")] = "dial_tiny",
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16; by default bfloat16 but on a CPU.")] = "",
    flow_steps: Annotated[int, typer.Option(min=1, help="Euler steps of the action decoder.")] = 4,
    calls: Annotated[int, typer.Option(min=5, help="Timed calls of each part.")] = 100,
) -> None:
    """Time System-2 (prefill), System-1 (chunk) and their parts with random weights, beside the roofline floor.

    The floor is the larger of weights read / memory bandwidth and FLOPs / peak: no implementation can be faster. On a GPU
    each call is one captured CUDA graph. The last line is the whole report as JSON.
    """
    from dial_core.benchmarks.model import bench_model, table_of

    report = bench_model(preset, device, dtype, flow_steps, calls)
    console.print(table_of(report))
    peaks = f"{report.roofline.bytes_per_s / 1e9:,.1f} GB/s, {report.roofline.flops_per_s / 1e12:,.2f} TFLOP/s"
    console.print(f"roofline: {peaks} ({report.roofline.source})", highlight=False)
    print(report.to_json())
