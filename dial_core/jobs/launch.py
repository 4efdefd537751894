"""Launches several training processes on one machine: each runs the same program with its rank in the environment."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dial_core.errors import DialError

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1


def launch(arguments: Sequence[str], processes: int, logs: Path) -> int:
    """Runs `python ARGUMENTS` in `processes` processes with the environment that torch.distributed reads; returns the first exit status.

    The first one has this terminal; what the others print is in `logs`. When one fails, or this process dies, all end.

    Raises:
        DialError: another process than the first failed; the message has the end of what it printed.
    """
    logs.mkdir(parents=True, exist_ok=True)
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }
    shared |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    running: list[subprocess.Popen] = []
    try:
        for rank in range(processes):
            output = None if rank == 0 else (logs / f"process-{rank}.log").open("wb")
            running.append(
                subprocess.Popen(
                    [sys.executable, *arguments],
                    env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    preexec_fn=_die_with_parent,
                )
            )
            if output:
                output.close()
        return _wait(running, logs)
    finally:
        for process in running:
            process.kill()
            process.wait()


def _wait(running: list[subprocess.Popen], logs: Path) -> int:
    """Waits for all processes, or for the first that fails."""
    while True:
        states = [process.poll() for process in running]
        if states[0]:  # it has said why, on this terminal
            return states[0]
        for rank, state in enumerate(states):
            if state:
                log = logs / f"process-{rank}.log"
                end = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise DialError(f"process {rank} of {len(running)} ended with status {state}; all of its output is in {log}:\n{end}")
        if all(state == 0 for state in states):
            return 0
        time.sleep(_POLL_S)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _die_with_parent() -> None:
    """Ends the process with its parent: the rest of a killed run would write into the folder of the run that resumes it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
