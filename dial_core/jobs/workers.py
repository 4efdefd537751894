"""Runs jobs in spawned processes and yields results as they complete; a crash fails only its own job."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

from dial_core.jobs.ray_engine import RETRIES, run_on_ray
from dial_core.jobs.results import ENDS_ALL, JobResult, call

_SPAWN = multiprocessing.get_context("spawn")
_TO_END_S = 5.0  # what terminated processes get to remove their temporary files; `docker stop` kills after 10 s

_ray_address: ContextVar[str] = ContextVar("ray_address", default="")


def use_ray(address: str) -> None:
    """From now on `run_jobs` runs on the Ray cluster at `address` (`ray_engine`), or if it is empty on this machine's processes."""
    _ray_address.set(address)


def run_jobs(function: Callable[[Any], Any], jobs: Iterable[Any], workers: int, retries: int = RETRIES) -> Iterator[JobResult]:
    """Yields the result of `function(job)` for each job, in the order in which jobs end.

    `workers` processes of one thread each; 0 runs in this process. `function` is importable by name and
    may keep expensive state (a world, a model) in its module between jobs. An exception, or the death of the
    process (a segmentation fault of a renderer), becomes the `error` of that job alone. `jobs` is drawn from only when a
    worker is free, so a generator can end the work when it has seen enough results.

    Args:
        retries: on a Ray cluster, how often a job whose worker or machine died is tried again; 0 where such a death is a result, as it
            always is on this machine.

    Raises:
        DiskFullError, ConnectionLostError, EndOfJobsError: a job met what is no fault of its own; the others are ended.
    """
    for result in _results(function, jobs, workers, retries):
        if isinstance(result.value, ENDS_ALL):
            raise result.value
        yield result


def _results(function: Callable[[Any], Any], jobs: Iterable[Any], workers: int, retries: int) -> Iterator[JobResult]:
    if address := _ray_address.get():
        yield from run_on_ray(function, jobs, address, workers, retries)
        return
    if workers == 0:
        for job in jobs:
            yield JobResult(job, *call(function, job))
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
        deadline_s = monotonic() + _TO_END_S
        for process, _ in running.values():
            process.join(max(0.0, deadline_s - monotonic()))
            process.kill()  # if it hangs in a library
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
    signal.signal(signal.SIGTERM, _end)
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
        result = call(function, job)
        try:
            connection.send(result)
        except BrokenPipeError:  # the master was killed; the next run finds what the job has stored
            return


def _end(*_: object) -> None:
    """Ends a terminated process as any other ends, so that its temporary files go with it."""
    sys.exit(128 + signal.SIGTERM)
