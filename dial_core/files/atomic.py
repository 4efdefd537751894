"""Writes files and folders atomically. Every file that another program or a later run reads is written here.

Data is written to a hidden neighbour, flushed to disk, and renamed: a reader, or the next run after a power cut, finds the
old version or the new one. A full disk is reported in one line (`disk_space`).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import json
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from dial_core.errors import DialError
from dial_core.files.disk_space import disk_errors

_CURRENT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fcntl.h and linux/fs.h


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file name beside `path`; what was written there becomes `path` when the block ends without an error.

    The folder is made if needed. Raises DiskFullError where the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with disk_errors(path.parent, path.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _make_readable(partial)
            _flush(partial)
            os.replace(partial, path)
            _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it becomes `path`, with all in it, when the block ends without an error.

    A symbolic link at `path` stays: the folder that it names, maybe on another disk, is written. Where the file system cannot exchange
    two folders (network file systems), a power cut during a replacement may leave the earlier one as `.NAME.HOST.PROCESS.old`. What calls
    that were killed on this machine have left is removed, the earlier folder only when `path` is there.

    Args:
        replace: whether a folder already at `path` is replaced; otherwise it is an error.

    Raises:
        DialError: `path` exists and is not to be replaced.
        DiskFullError: the disk is full.
    """
    _require_free_name(path, replace)
    if path.is_symlink():
        path = path.resolve()
    staging = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
    retired = staging.with_suffix(".old")
    try:
        with disk_errors(path.parent, path.name), ExitStack() as held:
            _remove_left(path, ".partial")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            held.enter_context(_held(staging))
            yield staging
            for file in _files(staging):
                _make_readable(file)
            flush_folder(staging)
            _require_free_name(path, replace)  # another command may have made it meanwhile
            if not (path.exists() and exchanged(staging, path)):
                if path.exists():
                    os.replace(path, retired)
                os.replace(staging, path)
            _flush(path.parent)
        _remove_left(path, ".old")
    finally:
        for folder in (staging, retired):
            shutil.rmtree(folder, ignore_errors=True)


def _require_free_name(path: Path, replace: bool) -> None:
    if path.exists() and not replace:
        raise DialError(f"{path} exists already; choose another folder, or delete it")


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Locks a folder until the block, or this process, ends; yields whether nobody else has locked it.

    Network file systems lock folders on this machine alone, whose name theirs hold. Where there are no locks, it counts as locked.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(descriptor)


def _remove_left(path: Path, suffix: str) -> None:
    """Removes what calls for `path` that were killed on this machine have left under hidden names with this suffix."""
    ours = f".{path.name}.{platform.node()}"
    for left in path.parent.glob(f"{glob.escape(ours)}.*{suffix}"):
        if not re.fullmatch(r"\.\d+", left.name.removeprefix(ours).removesuffix(suffix)):
            continue
        staging = left.with_suffix(".partial")  # which a call holds while it works
        with _held(staging) as free:
            if free or not staging.exists():
                shutil.rmtree(left, ignore_errors=True)


def exchanged(one: Path, other: Path) -> bool:
    """Gives two paths of one file system each other's content in one step; False, and nothing done, where it or the system cannot.

    Raises:
        OSError: one of them is missing, or may not be written.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # of Linux; Python offers it nowhere
    if renameat2 is None:
        return False
    if renameat2(_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other), _EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EXDEV):
        return False
    raise OSError(error, os.strerror(error), str(one), None, str(other))


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically; bytes that are none (in names of files from elsewhere) as escapes."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, values: Any) -> None:
    """Writes JSON values to `path`, indented, atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def flush_folder(folder: Path) -> None:
    """Flushes every file below `folder` to disk, so that a power cut after a rename leaves no empty files."""
    for path in _files(folder):
        _flush(path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _make_readable(path: Path) -> None:
    """Gives a file the reading bits of any new file: some libraries (safetensors) write through temporary files, for their user alone."""
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = mode | (0o444 & ~_umask())
    if wanted != mode:
        with suppress(PermissionError):  # file systems without modes, files of others
            path.chmod(wanted)


def _umask() -> int:
    """Of this process. Read from Linux: Python can only ask by setting it, which would meet files that other threads make meanwhile."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next((int(line.split()[1], 8) for line in status if line.startswith("Umask:")), 0o022)
    return 0o022


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
