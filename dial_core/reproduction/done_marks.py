"""Which steps of a plan are done, on disk: `OUT/steps/<name>.json`, written atomically at a step's beginning and end."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import dial_core
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.reproduction.pipeline_step import PipelineStep
from dial_core.reproduction.running_code import running_code
from dial_core.training.cpu_execution import kept_execution

_THEN = ", then "  # between what one attempt ran with and what a later one did


@dataclass(frozen=True)
class Mark:
    """What is known of a step that was started.

    Attributes:
        command: as a user would type it.
        fingerprint: of the command and its inputs.
        wall_s: time that it took, over all attempts [s]; None until it is done.
        expected_s: time that was expected [s].
        machine: processor and system it ran on.
        version: of this package.
        spent_s: time of all attempts so far, of the one that runs up to the last note [s].
        basis: fingerprint of all that its result rests on; None in marks of earlier versions, which did not know it.
        code: what it ran, see `running_code`; of several attempts with different code each. Empty in marks of earlier versions, as are
            the following.
        device: of a training, `cpu` or the GPU's name; of several attempts as `code`.
        precision: of a training that is done, in which its steps were computed.
        processes: of a training that is done, how many shared every batch; 0 of anything else.
    """

    command: str
    fingerprint: str
    wall_s: float | None
    expected_s: float
    machine: str
    version: str
    basis: str | None = None
    spent_s: float = 0.0
    code: str = ""
    device: str = ""
    precision: str = ""
    processes: int = 0

    @property
    def ran_on(self) -> str:
        """For the page: the machine, and of what else is known: device, processes and precision of a training, and the code."""
        shared = f"{self.processes} process{'es' if self.processes > 1 else ''}" if self.processes else ""
        known = self.machine, self.device, ", ".join(filter(None, (shared, self.precision))), self.code
        return "; ".join(filter(None, known))


class DoneMarks:
    """The marks of one reproduction's folder."""

    def __init__(self, out: Path) -> None:
        self._folder = out / "steps"
        self._before_s: dict[str, float] = {}  # what the attempts before the one that runs took, by step

    def read(self, step: PipelineStep) -> Mark | None:
        """The mark of a step; None if it was never started.

        Raises:
            DialError: it was started with another command or inputs, it rests on what other settings gave, or its mark cannot be read.
        """
        file, mark = self._file(step.name), self._mark(step.name)
        if mark is None:
            return None
        if mark.fingerprint != step.fingerprint:
            raise DialError(
                f"step {step.name} was started with other settings: it was `{mark.command}`, is now `{command_of(step)}`, or a recipe "
                f"or preset that it names has changed. Choose another --out, or delete {file} and what the command wrote to run it again"
            )
        if self._rests_on_others(step, mark):
            raise DialError(
                f"step {step.name} rests on what other settings of {', '.join(step.rests_on)} gave, or of what they need. Choose another "
                f"--out, or delete {file} and what the command wrote to run it again"
            )
        return mark

    def require(self, steps: Iterable[PipelineStep]) -> None:
        """Checks the marks of all steps, before hours of work.

        Raises:
            DialError: as `read`; the message names every step whose mark is refused.
        """
        refused: dict[str, DialError] = {}
        for step in steps:
            try:
                self.read(step)
            except DialError as error:
                refused[step.name] = error
        if refused:
            first, *others = refused
            more = f". The same holds of {', '.join(others)}" if others else ""
            raise DialError(f"{refused[first]}{more}") from refused[first]

    def require_lasting(self, steps: Sequence[PipelineStep], todo: Collection[str]) -> None:
        """Checks that nothing of what an earlier version has begun or done rests on a step that is about to run again.

        Args:
            steps: in an order in which needs come first.
            todo: names of those that are not done.

        Raises:
            DialError: something does. Its mark does not say on what it rests, and it could not be seen later.
        """
        causes, stale = set[str](), list[str]()
        for step in steps:
            mark, found = self._mark(step.name), {need for need in step.rests_on if need in todo or need in stale}
            if mark is not None and mark.basis is None and found:
                stale.append(step.name)
                causes |= found - set(stale)
        if stale:
            files = " ".join(str(self._file(name)) for name in stale)
            raise DialError(
                f"{', '.join(sorted(causes))} would be run again, on which {', '.join(stale)} rests, made by an earlier version. Choose "
                f"another --out, or delete {files} and what the commands wrote to run them again too"
            )

    def done(self, step: PipelineStep) -> bool:
        """Whether the step is finished: by its mark, or by a product that appears whole or not at all."""
        mark = self.read(step)
        return mark is not None and (mark.wall_s is not None or (step.product is not None and step.product.exists()))

    def begin(self, step: PipelineStep, expected_s: float, device: str = "") -> None:
        """Notes that the step is about to run; a step that was started before keeps its mark, with what this attempt adds to it.

        `device` is where it will be trained, if it is a training.
        """
        mark, code, device = self.read(step), running_code(), device if step.trained_in else ""
        self._before_s[step.name] = mark.spent_s if mark else 0.0
        if mark:
            later = replace(mark, code=_then(mark.code, code), device=_then(mark.device, device))
            write_json(self._file(step.name), asdict(later))
        else:
            self._write(step, None, expected_s, 0.0, code=code, device=device)

    def note(self, step: PipelineStep, attempt_s: float) -> None:
        """Notes how long the attempt that was begun here has been running [s]; killed, the step keeps that time."""
        if mark := self._mark(step.name):  # deleted meanwhile: whoever did wants the step run again
            spent_s = self._before_s[step.name] + attempt_s
            self._write(step, None, mark.expected_s, spent_s, code=mark.code, device=mark.device)

    def finish(self, step: PipelineStep, attempt_s: float) -> None:
        """Notes that the step is done, after so long in its last attempt [s]."""
        mark, wall_s = self.read(step), self._before_s.get(step.name, 0.0) + attempt_s
        how: dict[str, Any] = {"code": mark.code, "device": mark.device} if mark else {}
        if step.trained_in:
            execution = kept_execution(step.trained_in)
            precision = step.precision if execution.precision == "recipe" else execution.precision
            how |= {"precision": precision, "processes": execution.processes}
        self._write(step, round(wall_s, 1), mark.expected_s if mark else 0.0, wall_s, **how)

    def log(self, step: PipelineStep) -> Path:
        """Where the command's output goes."""
        return self._file(step.name).with_suffix(".log")

    def _rests_on_others(self, step: PipelineStep, mark: Mark) -> bool:
        """Whether a step was done on another basis; a mark that does not know its own is good until this version ran a need again."""
        if mark.basis is not None:
            return mark.basis != step.basis
        needs = [self._mark(name) for name in step.rests_on]
        return any(need is not None and need.basis is not None for need in needs)

    def _mark(self, name: str) -> Mark | None:
        """The mark of a step as it lies on disk; None without one."""
        file = self._file(name)
        if not file.is_file():
            return None
        try:
            return Mark(**json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise DialError(f"{file} cannot be read: {error}; delete it to run step {name} again") from error

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _write(self, step: PipelineStep, wall_s: float | None, expected_s: float, spent_s: float, **how: Any) -> None:
        version, command = dial_core.__version__, command_of(step)
        mark = Mark(command, step.fingerprint, wall_s, expected_s, machine(), version, step.basis, round(spent_s, 1), **how)
        write_json(self._file(step.name), asdict(mark))


def _then(before: str, now: str) -> str:
    """What all attempts ran with; unknown, and so empty, if it is unknown of the earlier ones."""
    return before if not before or before.split(_THEN)[-1] == now else f"{before}{_THEN}{now}"


def command_of(step: PipelineStep) -> str:
    """The step's command as a user would type it."""
    return " ".join(["dial", *step.words])


def machine() -> str:
    """Processor and system, for the page: `Intel(R) Xeon(R) ..., 2 cores, Linux`."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
