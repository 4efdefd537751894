"""Finds storage files that a recorder is still writing: no bag of theirs is completed, moved or replaced.

A bag under construction looks like one whose recorder was killed. Three signs tell them apart: our own writer locks its file; a process
that this user may inspect has it open for writing; and, for recorders in containers or on other machines, the file is written to.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from dial_core.bags.layout import BagError

QUIET_S = 10.0  # a recorder of joints alone fills a chunk of 768 KiB, rosbag2's default, in about 8 s
_PROCESSES = Path("/proc")
_POLL_S = 0.5

_SQLITE_LOGS = ("-wal", "-journal")  # not -shm, which readers write to

Sign = tuple[int, int]
"""Size [byte] and time of the last write [ns] of a file."""
Signs = dict[Path, tuple[Sign | None, ...]]
"""Of each storage file: its own sign, and those of the logs that SQLite may keep beside it; None for a log that does not exist."""


def lock_for_writing(stream: IO[bytes]) -> None:
    """Locks a file for as long as it is open, or until its process is killed. Some network disks have no locks: then nothing happens."""
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def signs_of(files: Sequence[Path]) -> Signs:
    """Returns size and modification time of each existing file, and of the SQLite logs beside it."""
    found = {path: tuple(map(_sign, (path, *_logs(path)))) for path in files}
    return {path: signs for path, signs in found.items() if signs[0] is not None}


def _logs(path: Path) -> list[Path]:
    """Where a database keeps what is not yet in its file: in WAL mode all that is recorded, for minutes."""
    return [path.with_name(path.name + ending) for ending in _SQLITE_LOGS] if path.suffix == ".db3" else []


def _sign(path: Path) -> Sign | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def require_untouched(signs: Signs) -> None:
    """Raises BagError if one of the files was written to, or removed, since `signs` were taken."""
    now = signs_of(list(signs))
    for path, sign in signs.items():
        if now.get(path) != sign:
            raise BagError(f"{path} is still being recorded: it was written to just now; stop its recorder first. Nothing was changed")


def require_finished(signs: Signs) -> None:
    """Checks that nobody writes to files any more, nor has since `signs` were taken.

    Files that were written to within the last `QUIET_S` are watched until they were left alone for so long.

    Raises:
        BagError: one of them is still being recorded; it is named.
    """
    for path in signs:
        if path.is_file() and _locked(path):
            raise BagError(f"{path} is still being recorded; stop its recorder first. Nothing was changed")
    if found := next(_open_for_writing([file for path in signs for file in (path, *_logs(path))]), None):
        path, process = found
        raise BagError(f"{path} is still being recorded: process {process} has it open for writing; stop it first. Nothing was changed")
    # The clock of a file server may be ahead of ours.
    written_s = min(time.time(), max((sign[1] / 1e9 for file in signs.values() for sign in file if sign), default=0.0))
    while (left_s := written_s + QUIET_S - time.time()) > 0:
        require_untouched(signs)
        time.sleep(min(left_s, _POLL_S))
    require_untouched(signs)


def _locked(path: Path) -> bool:
    """Whether a writer of ours, of any process, holds the file's lock."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a disk without locks
            return False
    return False


def _open_for_writing(files: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """Those of `files` that a process has open for writing, with its number, as far as this user may inspect processes."""
    wanted = {(status.st_dev, status.st_ino): path for path in files if path.is_file() for status in [path.stat()]}
    for process in _entries(_PROCESSES):
        if not process.name.isdecimal():
            continue
        for link in _entries(process / "fd"):
            with suppress(OSError, ValueError):  # closed, or ended, meanwhile
                status = link.stat()  # follows the file itself, whatever its path is in the process's container
                path = wanted.get((status.st_dev, status.st_ino))
                if path is not None and _writes(process / "fdinfo" / link.name):
                    yield path, int(process.name)


def _writes(information: Path) -> bool:
    """Whether an open file's `fdinfo` says that it is open for writing."""
    flags = next(line.split()[1] for line in information.read_text().splitlines() if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _entries(folder: Path) -> list[Path]:
    """What a folder holds; nothing if it is another user's, or there is none (outside of Linux)."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []
