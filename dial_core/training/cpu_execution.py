"""How the steps of a run are computed: on how many CPU processes, in which precision, compiled or not. Changes nothing but rounding.

On a CPU the fastest way depends on the processor: bfloat16 doubles the speed of one with AMX and halves that of one without,
and two hardware threads may be one core. So it is measured, in seconds, on the step that is about to run thousands of times.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table

from dial_core.config import Config
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.jobs.workers import run_jobs
from dial_core.training.optimisation import Hardware
from dial_core.training.probe import Probe, Workload, measure

Precision = Literal["recipe", "float32", "bfloat16"]
FILE = "execution.json"
MEASURED_FROM_STEPS = 200  # a shorter run is over before a measurement pays
COMPILED_FROM_S = 1800.0  # [s] of training: when its cache is empty, compiling takes a minute, on a busy machine three
_WINDOW_S = 5.0  # that a candidate is measured for
_MARGIN = 0.97  # a candidate must be faster than the ones before it by more than the noise of a measurement


class CpuExecution(Config):
    """How steps are computed.

    Attributes:
        processes: on this machine's CPU, each with one thread and its share of the batch. GPUs are launched by accelerate.
        precision: of forward and backward pass; weights, optimiser and losses are float32 anyway. `recipe`: bfloat16 if it says `bf16`.
        compiled: whether the model's repeated blocks are compiled.
    """

    processes: int = 1
    precision: Precision = "recipe"
    compiled: bool = False

    def hardware(self, micro_batch: int = 0, loader_workers: int = 0, wandb: bool = False) -> Hardware:
        """What the trainer needs to know of it, with what a call adds."""
        return Hardware(micro_batch, loader_workers, wandb, self.precision, self.compiled)

    def __str__(self) -> str:
        """`2 processes, float32, compiled`."""
        count = f"{self.processes} process{'es' if self.processes > 1 else ''}"
        return f"{count}, {self.precision}{', compiled' if self.compiled else ''}"


@dataclass(frozen=True)
class Wish:
    """What a call asks for; None: whatever is measured to be the fastest."""

    processes: int | None = None
    precision: Precision | None = None
    compiled: bool | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be measured."""
        return None not in asdict(self).values()

    @property
    def asked(self) -> dict:
        """What is asked for, by field of `CpuExecution`."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def plain(self) -> CpuExecution:
        """What is asked for, and otherwise one process in the recipe's precision, not compiled."""
        return CpuExecution(**self.asked)


def choose_execution(wish: Wish, workload: Workload, steps: int, out: Path, console: Console) -> CpuExecution:
    """How a run in `out` is computed: as it was started, or as asked for, or the fastest by a measurement that is printed.

    The choice is kept in `out/execution.json`: a resumed run rounds as the interrupted one did.

    Args:
        workload: the step that is measured.
        steps: of the whole run.
    """
    if (out / FILE).exists():
        kept = CpuExecution.model_validate_json((out / FILE).read_text())
        chosen = kept.model_copy(update=wish.asked)
    elif wish.complete or steps < MEASURED_FROM_STEPS or launched_by_others() or torch.cuda.is_available():
        chosen = wish.plain
    else:
        chosen = _fastest(wish, workload, steps, console)
    if not launched_by_others() or os.environ.get("RANK", "0") == "0":
        write_json(out / FILE, chosen.model_dump())
    return chosen


def kept_execution(out: Path, wish: Wish = Wish()) -> CpuExecution:  # frozen
    """What `choose_execution` decided for the run in `out`, the plain way if it was not asked, but for what is wished."""
    kept = CpuExecution.model_validate_json((out / FILE).read_text()) if (out / FILE).exists() else CpuExecution()
    return kept.model_copy(update=wish.asked)


def launched_by_others() -> bool:
    """Whether this process is one of those that a launcher started (`accelerate launch`, torchrun, or `processes.launch`)."""
    return "WORLD_SIZE" in os.environ


def _fastest(wish: Wish, workload: Workload, steps: int, console: Console) -> CpuExecution:
    known: list[Precision] = ["float32", "bfloat16"] if _has_bfloat16() else ["float32"]
    precisions = [wish.precision] if wish.precision else known
    counts = [wish.processes] if wish.processes else _process_counts(workload.samples)
    first = CpuExecution(processes=counts[0], precision=precisions[0], compiled=bool(wish.compiled))
    times: dict[CpuExecution, float] = {}
    with console.status("measuring how this machine trains fastest"):
        for count in counts:
            _time(times, workload, [first.model_copy(update={"processes": count})])
        best = _best(times)
        _time(times, workload, [best.model_copy(update={"precision": precision}) for precision in precisions[1:]])
        best = _best(times)
        if wish.compiled is None and times[best] * steps > COMPILED_FROM_S:
            compiled = best.model_copy(update={"compiled": True})
            _time({}, workload, [compiled.model_copy(update={"processes": 1})], share=best.processes)  # fills the cache once
            _time(times, workload, [compiled])
            best = _best(times)
    _show(times, best, steps, console)
    return best


def _time(times: dict[CpuExecution, float], workload: Workload, candidates: Sequence[CpuExecution], share: int = 0) -> None:
    """Measures the candidates, which have one number of processes, in these processes; notes seconds a step."""
    if not candidates:
        return
    count = candidates[0].processes
    part = replace(workload, samples=workload.samples // (share or count))
    ways = tuple((candidate.precision, candidate.compiled) for candidate in candidates)
    with TemporaryDirectory(prefix="dial-measure-") as place:
        probes = [Probe(part, ways, rank, count, place, _WINDOW_S) for rank in range(count)]
        results = list(run_jobs(measure, probes, count))
    for result in results:
        if result.error:
            raise DialError(f"measuring a training step failed; choose --processes, --precision and --compile yourself:\n{result.error}")
    for index, candidate in enumerate(candidates):
        times[candidate] = max(result.value[index] for result in results)


def _best(times: dict[CpuExecution, float]) -> CpuExecution:
    best = next(iter(times))
    for candidate, seconds in times.items():
        if seconds < _MARGIN * times[best]:
            best = candidate
    return best


def _process_counts(samples: int) -> list[int]:
    """One process, and the largest power of two that this machine has cores for and that divides the batch."""
    most = 1
    while 2 * most <= len(os.sched_getaffinity(0)) and samples % (2 * most) == 0:
        most *= 2
    return [1] if most == 1 else [1, most]


def _has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _show(times: dict[CpuExecution, float], best: CpuExecution, steps: int, console: Console) -> None:
    table = Table("a training step on this machine", "ms", f"{steps:,} steps")
    for candidate, seconds in times.items():
        name, style = (f"{candidate} (chosen)", "bold green") if candidate == best else (str(candidate), "")
        table.add_row(name, f"{1e3 * seconds:.0f}", f"{steps * seconds / 60:.0f} min", style=style)
    console.print(table)
    console.print(f"Kept in {FILE}; `--processes`, `--precision` and `--compile` choose otherwise.", highlight=False)
