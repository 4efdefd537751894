"""The client of an environment server: starts it in its own Python environment and calls it over a socket pair."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from dial_core.errors import DialError
from dial_core.evaluation.environments import environment_server
from dial_core.evaluation.environments.environment_server import Arrays, receive, send

TIMEOUT_S = 600.0  # for one call: making a scene of the original benchmark takes minutes on a busy machine
SHUTDOWN_S = 10.0
HASH_SEED = "0"  # the original benchmark draws task seeds from hash(str): without a fixed one, seeds do not fix scenes
LOG_LINES = 8


class EnvironmentProcess:
    """One environment server in a process of its own; the process ends when this is closed, or when this process ends."""

    def __init__(self, python: Path, name: str, setup: str = "dial robocasa setup") -> None:
        """Starts it.

        Args:
            python: interpreter of the server's environment.
            name: of the environment, for messages.
            setup: the command that makes it.

        Raises:
            DialError: there is no such interpreter.
        """
        self._name = name
        if not python.is_file():
            raise DialError(f"environment '{name}' is not installed ({python} does not exist); `{setup}` makes it")
        self._wire, other = socket.socketpair()
        self._wire.settimeout(TIMEOUT_S)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        with other:
            self._process = subprocess.Popen(
                [str(python), environment_server.__file__, str(other.fileno())],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**kept, "PYTHONHASHSEED": HASH_SEED, "MUJOCO_GL": kept.get("MUJOCO_GL", "egl")},
            )

    def call(self, call: str, arrays: Arrays | None = None, **values: Any) -> tuple[dict[str, Any], Arrays]:
        """The server's answer.

        Raises:
            DialError: the call failed there, or the server died; the message ends with the last lines of its log.
        """
        try:
            send(self._wire, {"call": call, **values}, arrays or {})
            answer, result = receive(self._wire)
        except (OSError, EOFError) as error:
            self._wire.close()  # an answer that comes late would be taken for that of the next call
            raise DialError(f"the server of environment '{self._name}' stopped at '{call}' ({error}). {self._last_words()}") from error
        if "error" in answer:
            raise DialError(f"environment '{self._name}' failed at '{call}': {answer['error']}. {self._last_words()}")
        return answer, result

    def close(self) -> None:
        """Ends the process."""
        self._wire.close()
        try:
            self._process.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        return "Its log ends: " + " | ".join(line.strip() for line in lines[-LOG_LINES:]) if lines else "Its log is empty."
