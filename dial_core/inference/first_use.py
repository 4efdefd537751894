"""What a session computes with, and runtime `auto`: a program compiled in the background on its first use.

The compilation is a process of the lowest priority, which survives the node that started it. Until its program is in the cache,
and wherever it cannot be made, the model itself computes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.inference import COMPILE_SWITCH
from dial_core.inference.cuda_graph import Captured
from dial_core.inference.programs import Program, ProgramSpec, Runtime, open_program
from dial_core.model.compiling import compiler_found
from dial_core.model.dial import DialModel

LARGEST = 50_000_000  # parameters of a model that is compiled unasked; larger ones take long and much memory
Report = Callable[[str], None]


class Traceable(Protocol):
    """A session as far as its computation is concerned."""

    runtime: Runtime
    device: torch.device
    model: DialModel

    def spec(self, runtime: Runtime) -> ProgramSpec:
        """Identifies the exported program that computes the same."""
        ...


def computation(session: Traceable, eager: Captured, checkpoint: Path | None, report: Report) -> Callable[..., Any]:
    """The function that a session calls: `eager`, its own, or an exported program.

    Raises:
        DialError: the runtime names a program that does not exist, or was made for something else.
    """
    if session.runtime == "eager":
        return eager
    if session.runtime == "auto":
        return _compiled_or_eager(session, eager, checkpoint, report)
    return open_program(session.spec(session.runtime))


def _compiled_or_eager(session: Traceable, eager: Captured, checkpoint: Path | None, report: Report) -> Callable[..., Any]:
    spec = session.spec("aoti")
    try:
        return open_program(spec)
    except DialError:
        pass
    small = sum(parameter.numel() for parameter in session.model.parameters()) <= LARGEST
    if checkpoint is None or not small or os.environ.get(COMPILE_SWITCH) == "0":
        return eager
    if why := _no_use(spec):
        report(f"System-{spec.system} runs eagerly: {why}")
        return eager
    report(f"System-{spec.system} is being compiled for this processor in the background (once, some minutes); it runs eagerly until then")
    return EagerUntilCompiled(eager, spec, checkpoint, report)


def _no_use(spec: ProgramSpec) -> str:
    """Why compiling cannot succeed; empty if it may."""
    if not compiler_found():
        return "there is no C++ compiler; install g++, and its program is compiled at the next start"
    try:
        failed = json.loads(failure_file(spec).read_text())
    except (OSError, ValueError):
        return ""
    return f"compiling failed before ({failed['why']}); delete {failure_file(spec)} to try again" if failed["facts"] == spec.facts else ""


def failure_file(spec: ProgramSpec) -> Path:
    """Where a failed compilation is noted, so that it is not repeated at every start."""
    return spec.file.with_suffix(".failed.json")


class EagerUntilCompiled:
    """Calls the model, and the exported program from the moment it exists."""

    def __init__(
        self, eager: Callable[..., Any], spec: ProgramSpec, checkpoint: Path, report: Report, compile_: Callable[..., str] | None = None
    ) -> None:
        """Starts the compilation if this process has none of that program at work: `compile_(spec, checkpoint)` returns why it
        failed, or nothing."""
        self._eager, self._spec, self.report = eager, spec, report
        self._program: Program | None = None
        self._inputs: tuple[torch.Tensor, ...] | None = None
        self.compilation = Compilation.of(spec, checkpoint, compile_ or compile_in_background, self)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """The outputs for these inputs."""
        program = self._program
        if program is None:
            self._inputs = inputs
            return self._eager(*inputs)
        return program(*inputs)

    @torch.inference_mode()
    def adopt(self, program: Program) -> None:
        """Calls `program` from now on."""
        if self._inputs is not None:
            program(*self._inputs)  # the first call allocates, which a moving robot must not wait for
        self._program = program
        self.report(f"System-{self._spec.system} now runs its compiled program, {self._spec.file}")


class Compilation:
    """One program being compiled in the background, however many sessions of this process wait for it.

    It keeps none of them alive: a node that was cleaned up meanwhile has freed its model.
    """

    _at_work: ClassVar[dict[Path, Compilation]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, spec: ProgramSpec, checkpoint: Path, compile_: Callable[..., str]) -> None:
        self._spec, self._checkpoint, self._compile = spec, checkpoint, compile_
        self._sessions: list[weakref.ref[EagerUntilCompiled]] = []
        self.thread = threading.Thread(target=self._run, name=f"compile-system{spec.system}", daemon=True)

    @classmethod
    def of(cls, spec: ProgramSpec, checkpoint: Path, compile_: Callable[..., str], session: EagerUntilCompiled) -> Compilation:
        """The compilation that is at work on this program, or a new one; `session` is notified of its end."""
        with cls._lock:
            found = cls._at_work.get(spec.file)
            if found is None:
                found = cls._at_work[spec.file] = cls(spec, checkpoint, compile_)
                found.thread.start()
            found._sessions.append(weakref.ref(session))
        return found

    def _run(self) -> None:
        spec, failure = self._spec, ""
        try:
            if why := self._compile(spec, self._checkpoint):
                failure = f"{why}; it stays so until {failure_file(spec)} is deleted"
                write_json(failure_file(spec), {"facts": spec.facts, "why": why})
        except (DialError, OSError) as error:
            failure = str(error)
        with self._lock:
            del self._at_work[spec.file]
        for session in [living for reference in self._sessions if (living := reference()) is not None]:
            try:
                if failure:
                    raise DialError(failure)
                session.adopt(open_program(spec))  # one each: a program keeps what its last call allocated
            except (DialError, OSError, RuntimeError) as error:  # the last from the program's first call
                session.report(f"System-{spec.system} could not be compiled and runs eagerly: {error}")


def compile_in_background(spec: ProgramSpec, checkpoint: Path) -> str:
    """Compiles a program in a process of its own; returns the last line of its error, or nothing."""
    words = [str(checkpoint), str(spec.system), str(spec.flow_steps), str(spec.noise_seed)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dial_core.inference.compile_program", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C in the node's terminal does not end it
        check=False,
    )
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return lines[-1] if done.returncode else ""
