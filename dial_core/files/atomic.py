"""Files and folders that appear complete or not at all: the one way in which this package writes what others read.

Data goes to a hidden neighbour first, is flushed to disk, and is renamed: a reader, or the next run after a power cut, finds the
old version or the new one. A full disk is reported as one line that says how much was missing where.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dial_core.errors import DialError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")


class DiskFullError(DialError):
    """A file system has no room for what is to be written; the message says how much was needed where."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file name beside `path`; what was written there becomes `path` when the block ends without an error.

    The folder is made if needed. Raises DiskFullError where the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with reporting_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _flush(partial)
            os.replace(partial, path)
            _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it becomes `path`, with all in it, when the block ends without an error.

    Args:
        replace: whether a folder already at `path` is replaced; otherwise it is an error.

    Raises:
        DialError: `path` exists and is not to be replaced.
        DiskFullError: the disk is full.
    """
    if path.exists() and not replace:
        raise DialError(f"{path} exists already; choose another folder, or delete it")
    staging = path.with_name(f".{path.name}.{os.getpid()}.partial")
    retired = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        with reporting_full_disk(path):
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            yield staging
            flush_folder(staging)
            if path.exists():
                os.replace(path, retired)
            os.replace(staging, path)
            _flush(path.parent)
    finally:
        for folder in (staging, retired):
            shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Writes JSON values to `path`, indented, atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def flush_folder(folder: Path) -> None:
    """Flushes every file below `folder` to disk, so that a power cut after a rename leaves no empty files."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _flush(path)


@contextmanager
def reporting_full_disk(path: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Turns "no space left" from any library, while writing `path`, into a DiskFullError. `needed_bytes`: in all, if known."""
    try:
        yield
    except DialError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise DiskFullError(_full_disk_message(path, needed_bytes)) from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of any library means that a disk or a quota is full."""
    if isinstance(error, DiskFullError):
        return True
    return getattr(error, "errno", None) in _FULL or any(text in str(error) for text in _FULL_TEXTS)


def require_space(path: Path, needed_bytes: int, what: str) -> None:
    """Checks before the work that the file system of `path` has room.

    Raises:
        DiskFullError: it has less than `needed_bytes` free; the message says both.
    """
    free = shutil.disk_usage(existing_parent(path)).free
    if free < needed_bytes:
        raise DiskFullError(f"{what} needs {readable(needed_bytes)} at {path}, where {readable(free)} are free; {_ADVICE}")


def existing_parent(path: Path) -> Path:
    """The nearest folder at or above `path` that exists."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def readable(size_bytes: float) -> str:
    """A size for people: `3.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


_ADVICE = "make room, or choose a folder on another disk, and give the same command again"


def _full_disk_message(path: Path, needed_bytes: int) -> str:
    usage = shutil.disk_usage(existing_parent(path))
    needed = f"needs {readable(needed_bytes)}" if needed_bytes else "does not fit"
    return f"disk full: {path} {needed}, of {readable(usage.total)} there {readable(usage.free)} are free; {_ADVICE}"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
