"""Runs the steps of a plan, several at a time, so that the same call resumes after any interruption."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock
from typing import Protocol

from dial_core.errors import DialError
from dial_core.reproduction.done_marks import DoneMarks, command_of
from dial_core.reproduction.hours import corrections, expected_s, readable_hours, schedule_s
from dial_core.reproduction.pipeline_step import PipelineStep

TAIL_LINES = 8  # of a failed command's log
NOTE_PERIOD_S = 60.0  # between two notes of how long the steps have been running: a killed attempt loses at most so much


class Executor(Protocol):
    """Runs `dial` commands."""

    def __call__(self, words: Sequence[str], log: Path) -> None:
        """Runs `dial WORDS` to its end, its output in `log`. Raises DialError if it fails."""

    def stop(self) -> None:
        """Ends the commands that are running."""


def remaining(
    steps: Sequence[PipelineStep], marks: DoneMarks, workers: int, jobs: int
) -> tuple[list[PipelineStep], dict[str, float], float]:
    """The steps that are not done, the time that each is expected to take, and the time until all of them are done [s].

    Raises:
        DialError: as `DoneMarks.read` and `DoneMarks.require_lasting`.
    """
    factors = corrections(steps, marks)
    todo = [step for step in steps if not marks.done(step)]
    marks.require_lasting(steps, {step.name for step in todo})
    durations_s = {step.name: expected_s(step, workers) * factors.get(step.kind, 1.0) for step in todo}
    return todo, durations_s, schedule_s(todo, durations_s, jobs)


class StepRunner:
    """Runs what is not done yet of some steps.

    A step that fails stops only those that need it; the others continue, and the failure is raised at the end.
    """

    def __init__(
        self,
        marks: DoneMarks,
        execute: Executor,
        workers: int,
        jobs: int,
        announce: Callable[[str], None],
        ray: str = "",
        device: str = "",
    ) -> None:
        """`ray`: address of a cluster for the steps that can spread over it; `device`: where trainings run, for their marks."""
        self._marks, self._execute, self._announce = marks, execute, announce
        self._workers, self._jobs, self._ray, self._device = workers, jobs, ray, device

    def run(self, steps: Sequence[PipelineStep]) -> None:
        """Runs them, each as soon as what it needs is done.

        Raises:
            DialError: a step failed; the message names every failed step, its log, and what was not run for it.
        """
        todo = self._remaining(steps)[0]
        open_names = {step.name for step in todo}
        total, failed = len(steps), dict[str, BaseException]()
        running: dict[Future[float], tuple[PipelineStep, float]] = {}  # with the time at which each began [s]
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                while True:
                    for step in [step for step in todo if not open_names & set(step.needs)][: self._jobs - len(running)]:
                        todo.remove(step)
                        try:
                            self._marks.begin(step, expected_s(step, self._workers), self._device)
                        except DialError as refusal:
                            failed[step.name] = refusal
                            continue
                        running[pool.submit(self._run_one, step)] = step, time.monotonic()
                    if not running:
                        break
                    ended = wait(running, NOTE_PERIOD_S, return_when=FIRST_COMPLETED).done
                    self._note(running.values())
                    for future in ended:
                        step, _ = running.pop(future)
                        if error := future.exception():
                            failed[step.name] = error
                            self._announce(f"failed: {step.name}: {error}")
                            continue
                        self._marks.finish(step, future.result())
                        open_names.remove(step.name)
                        left, _, left_s = self._remaining(steps)
                        self._announce(f"[{total - len(left)}/{total}] {step.name} done; about {readable_hours(left_s)} to go")
            except BaseException:  # an interrupt: what runs would keep the pool, and so this process, waiting
                self._execute.stop()
                self._note(running.values())
                raise
        if failed:
            skipped = f"; not run because of that: {', '.join(step.name for step in todo)}" if todo else ""
            causes = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise DialError(f"{len(failed)} of {total} steps failed: {causes}{skipped}. The same command resumes with them")

    def _remaining(self, steps: Sequence[PipelineStep]) -> tuple[list[PipelineStep], dict[str, float], float]:
        return remaining(steps, self._marks, self._workers, self._jobs)

    def _note(self, running: Iterable[tuple[PipelineStep, float]]) -> None:
        for step, began_s in running:
            self._marks.note(step, time.monotonic() - began_s)

    def _run_one(self, step: PipelineStep) -> float:
        """Runs the step's command; returns how long it took [s]."""
        words = list(step.words)
        if step.parallel:
            words += ["--workers", str(self._workers)]
        if step.trains:
            words += ["--processes", str(max(1, self._workers))]
        if self._ray and step.spreads:
            words += ["--ray", self._ray]
        log = self._marks.log(step)
        self._announce(f"{step.name}: {command_of(step)}")
        started_s = time.monotonic()
        self._execute(words, log)
        return time.monotonic() - started_s


class Commands:
    """Executes `dial` commands as processes of their own, with their output in log files."""

    def __init__(self, environment: Mapping[str, str], inherited: int) -> None:
        """`inherited`: a file descriptor that the processes keep open: the lock of the reproduction's folder."""
        self._environment, self._inherited = dict(environment), inherited
        self._processes: set[subprocess.Popen] = set()
        self._lock, self._stopped = Lock(), False

    def __call__(self, words: Sequence[str], log: Path) -> None:
        """Runs one command to its end. Raises DialError if it fails, with the last lines of its log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"$ dial {' '.join(words)}\n".encode())
            output.flush()
            command = [sys.executable, "-m", "dial_core.cli", *words]
            environment = os.environ | self._environment
            with self._lock:  # `stop` sees every process, or none begins after it
                if self._stopped:
                    raise DialError("stopped before it began")
                process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, pass_fds=[self._inherited])
                self._processes.add(process)
            code = process.wait()
            self._processes.discard(process)
        if code:
            tail = " | ".join(line for line in log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if line.strip())
            raise DialError(f"exit code {code}, see {log}: {tail}")

    def stop(self) -> None:
        """Ends the commands that run, and lets none begin."""
        with self._lock:
            self._stopped = True
            for process in list(self._processes):
                process.terminate()
