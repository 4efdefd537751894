"""Which steps of a plan are done, on disk: `OUT/steps/<name>.json`, written atomically at a step's beginning and end."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import dial_core
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.reproduction.pipeline import PipelineStep


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
    """

    command: str
    fingerprint: str
    wall_s: float | None
    expected_s: float
    machine: str
    version: str


class DoneMarks:
    """The marks of one reproduction's folder."""

    def __init__(self, out: Path) -> None:
        self._folder = out / "steps"

    def read(self, step: PipelineStep) -> Mark | None:
        """The mark of a step; None if it was never started.

        Raises:
            DialError: it was started with another command or inputs, or its mark cannot be read.
        """
        file = self._file(step)
        if not file.is_file():
            return None
        try:
            mark = Mark(**json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise DialError(f"{file} cannot be read: {error}; delete it to run step {step.name} again") from error
        if mark.fingerprint != step.fingerprint:
            raise DialError(
                f"step {step.name} was started with other settings: it was `{mark.command}`, is now `{command_of(step)}`, or a recipe "
                f"or preset that it names has changed. Choose another --out, or delete {file} and what the command wrote to run it again"
            )
        return mark

    def done(self, step: PipelineStep) -> bool:
        """Whether the step is finished: by its mark, or by a product that appears whole or not at all."""
        mark = self.read(step)
        return mark is not None and (mark.wall_s is not None or (step.product is not None and step.product.exists()))

    def begin(self, step: PipelineStep, expected_s: float) -> None:
        """Notes that the step is about to run; a step that was started before keeps its mark."""
        if self.read(step) is None:
            self._write(step, Mark(command_of(step), step.fingerprint, None, expected_s, machine(), dial_core.__version__))

    def finish(self, step: PipelineStep, wall_s: float) -> None:
        """Notes that the step is done."""
        mark = self.read(step)
        expected_s = mark.expected_s if mark else 0.0
        self._write(step, Mark(command_of(step), step.fingerprint, round(wall_s, 1), expected_s, machine(), dial_core.__version__))

    def log(self, step: PipelineStep) -> Path:
        """Where the command's output goes."""
        return self._file(step).with_suffix(".log")

    def _file(self, step: PipelineStep) -> Path:
        return self._folder / f"{step.name}.json"

    def _write(self, step: PipelineStep, mark: Mark) -> None:
        write_json(self._file(step), asdict(mark))


def command_of(step: PipelineStep) -> str:
    """The step's command as a user would type it."""
    return " ".join(["dial", *step.words])


def machine() -> str:
    """Processor and system, for the page: `Intel(R) Xeon(R) ..., 2 cores, Linux`."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
