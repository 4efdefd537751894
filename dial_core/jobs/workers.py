"""Jobs over spawned processes: results as they come, one job's crash is that job's failure."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class JobResult:
    """What one job gave: its `value`, or the `error` (traceback or exit code) that ended it."""

    job: Any
    value: Any = None
    error: str | None = None


def run_jobs(function: Callable[[Any], Any], jobs: Iterable[Any], workers: int) -> Iterator[JobResult]:
    """Yields the result of `function(job)` for each job, in the order in which jobs end.

    `workers` processes of one thread each; 0 runs in this process. `function` is importable by name and
    may keep expensive state (a world, a model) in its module between jobs. An exception, or the death of the
    process (a segmentation fault of a renderer), becomes the `error` of that job alone. `jobs` is drawn from only when a
    worker is free, so a generator can end the work when it has seen enough results.
    """
    if workers == 0:
        for job in jobs:
            yield _call(function, job)
        return
    waiting = iter(jobs)
    running: dict[Connection, tuple[BaseProcess, Any]] = {}
    try:
        for job in islice(waiting, workers):
            _hand_out(job, _start(function), running)
        while running:
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                process, job = running.pop(ready)
                result, died = _receive(ready, process, job)
                yield result
                for next_job in islice(waiting, 1):
                    _hand_out(next_job, _start(function) if died else (ready, process), running)
                if ready not in running and not died:
                    ready.send(None)
                    process.join()
    finally:
        for process, _ in running.values():
            process.terminate()
            process.join()


def _start(function: Callable[[Any], Any]) -> tuple[Connection, BaseProcess]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _hand_out(job: Any, worker: tuple[Connection, BaseProcess], running: dict[Connection, tuple[BaseProcess, Any]]) -> None:
    connection, process = worker
    connection.send(job)
    running[connection] = (process, job)


def _receive(connection: Connection, process: BaseProcess, job: Any) -> tuple[JobResult, bool]:
    """The job's result, and whether the process died over it."""
    try:
        value, error = connection.recv()
        return JobResult(job, value, error), False
    except (EOFError, ConnectionResetError):
        process.join()
        return JobResult(job, error=f"the worker process died with exit code {process.exitcode}"), True


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    os.environ.setdefault("MUJOCO_GL", "egl")
    # One thread a process: workers fill the cores, and torch's threads would wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    if torch := sys.modules.get("torch"):  # imported with the function; a job that needs no torch does not pay for it
        torch.set_num_threads(1)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        if job is None:
            return
        result = _call(function, job)
        try:
            connection.send((result.value, result.error))
        except BrokenPipeError:  # the master was killed; what the job has stored is there when the next one looks
            return


def _call(function: Callable[[Any], Any], job: Any) -> JobResult:
    try:
        return JobResult(job, function(job))
    except Exception:
        return JobResult(job, error=traceback.format_exc())
