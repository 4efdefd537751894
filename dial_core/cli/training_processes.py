"""Shared by `dial train` and `dial pretrain`: options for how steps are computed, and running on several processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dial_core.cli.options import console
from dial_core.errors import DialError

if TYPE_CHECKING:
    from dial_core.training.cpu_execution import CpuExecution
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

    wish = Wish(_count(processes), _precision(precision), compiled)
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


def _precision(text: str):
    choices = ("auto", "recipe", "float32", "bfloat16")
    if text not in choices:
        raise DialError(f"--precision {text}: expected one of {', '.join(choices)}")
    return None if text == "auto" else text
