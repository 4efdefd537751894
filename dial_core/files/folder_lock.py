"""One command at a time in a folder of work."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dial_core.errors import DialError


@contextmanager
def folder_lock(folder: Path, command: str) -> Iterator[int]:
    """Holds the lock of a folder in which `command` (as a user types it) works; yields its file descriptor.

    Processes that inherit the descriptor hold the lock too: what outlives a killed command keeps the next one out.

    Raises:
        DialError: another one works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DialError(
                f"another `{command}` (or a process of one that was killed) works in {folder}; wait for it, or end it"
            ) from error
        yield file.fileno()
