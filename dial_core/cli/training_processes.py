"""Shared by `dial train` and `dial pretrain`: options for how steps are computed, and running on several processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dial_core.cli.options import console
from dial_core.errors import DialError

if TYPE_CHECKING:
    from dial_core.training.cpu_execution import CpuExecution
    from dial_core.training.cpu_execution import Precision as NamedPrecision
    from dial_core.training.optimisation import Hardware, Optimisation
    from dial_core.training.probe import Workload

Processes = Annotated[
    str, typer.Option("--processes", metavar="auto|N", help="CPU processes of one thread each that share every batch; auto: measured.")
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="auto|recipe|float32|bfloat16",
        help="Precision of forward and backward pass. auto: on a CPU the faster one, measured; on a GPU as the recipe says.",
    ),
]
Compile = Annotated[
    bool | None, typer.Option("--compile/--no-compile", help="Compile the model's repeated blocks. Default: if measured to be faster.")
]


def distribute(processes: str, precision: str, compiled: bool | None, workload: Workload, steps: int, out: Path) -> CpuExecution | None:
    """How this process is to train; None if processes that it launched have done all of it.

    Raises:
        DialError: an option is none of its choices.
        typer.Exit: the launched processes failed; the first one has said why.
    """
    from dial_core.jobs.launch import launch
    from dial_core.training.cpu_execution import Wish, choose_execution, kept_execution, launched_by_others

    wish = Wish(_count(processes), named_precision(precision), compiled)
    if launched_by_others():
        return kept_execution(out, wish)
    execution = choose_execution(wish, workload, steps, out, console)
    if execution.processes == 1:
        return execution
    status = launch(["-m", "dial_core.cli", *sys.argv[1:]], execution.processes, out / "processes")
    if status:
        raise typer.Exit(status)
    return None


def _count(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise DialError(f"--processes {text}: expected auto or a number from 1")
    return int(text)


def named_precision(text: str) -> NamedPrecision | None:
    """The value of `--precision`; None for `auto`.

    Raises:
        DialError: it is none of the choices.
    """
    choices = ("auto", "recipe", "float32", "bfloat16")
    if text not in choices:
        raise DialError(f"--precision {text}: expected one of {', '.join(choices)}")
    return None if text == "auto" else text  # type: ignore[return-value]


def ignored_launch_precision(stages: Sequence[Optimisation], hardware: Hardware) -> str | None:
    """A sentence for the user whose launch asks for a `mixed_precision` that stages do not compute in; None if there is nothing to say.

    The recipe and `--precision` decide, so that a recipe means the same run however it is launched. Only the first process says it.
    """
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # accelerate sets `no` where a launch asks for nothing
    if asked == "no" or os.environ.get("RANK", "0") != "0":
        return None
    computed = ["bf16" if hardware.in_precision(plan).bf16 else "float32" for plan in stages]
    other = [f"stage {number} computes in {precision}" for number, precision in enumerate(computed, 1) if precision != asked]
    if not other:
        return None
    return (
        f"The launch's `mixed_precision: {asked}` is ignored, the recipe's `bf16` and `--precision` decide: {', '.join(other)}. "
        "`--precision bfloat16` computes every stage in bf16"
    )
