"""One command at a time in a folder of work."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dial_core.errors import DialError

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # file systems that offer none: nobody is kept out


@contextmanager
def folder_lock(folder: Path, command: str, name: str = "lock") -> Iterator[int]:
    """Holds the lock of a folder in which `command` (as a user types it) works; yields its file descriptor.

    Processes that inherit the descriptor hold the lock too: what outlives a killed command keeps the next one out.

    Args:
        name: of the lock's file. The command may delete the folder with it.

    Raises:
        DialError: another one works there.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            opened = (folder / name).open("w")
        except FileNotFoundError:
            continue  # its holder deleted the folder this very moment
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DialError(
                    f"another `{command}` (or a process of one that was killed) works in {folder}; wait for it, or end it"
                ) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            if not _is_at(folder / name, file.fileno()):
                continue
            yield file.fileno()
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
