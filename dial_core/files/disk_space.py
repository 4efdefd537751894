"""Reports a full disk in one line that says how much is needed where."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dial_core.errors import DialError

RESUME = "make room and run the same command again: it resumes where it stopped"
BEGIN_AGAIN = "make room and run the same command again: it keeps nothing of what it has written"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")
_SLACK_BYTES = 20 * 2**20


class DiskFullError(DialError):
    """A disk has no room for what has to be written; the message says how much and where."""


def require_free(folder: Path, needed_bytes: int, what: str) -> None:
    """Checks that the disk of `folder` has room before anything is written.

    Raises:
        DiskFullError: it has not.
    """
    free = free_bytes(folder)
    if free < needed_bytes + _SLACK_BYTES:
        raise DiskFullError(
            f"{folder}: {what} needs {_megabytes(needed_bytes + _SLACK_BYTES)} MB, the disk has {_megabytes(free)} MB free; {RESUME}"
        )


@contextmanager
def disk_errors(folder: Path, what: str) -> Iterator[None]:
    """Turns what a full disk raises in the block into a DiskFullError.

    Args:
        folder: that is written to.
        what: is written, e.g. "the dataset".
    """
    try:
        yield
    except DialError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise full_disk(folder, what) from error


@contextmanager
def keeping_nothing() -> Iterator[None]:
    """For commands that do not resume: their errors of a full disk, from whatever depth of the block, do not promise it."""
    try:
        yield
    except DiskFullError as error:
        raise DiskFullError(str(error).replace(RESUME, BEGIN_AGAIN)) from error


def full_disk(folder: Path, what: str) -> DiskFullError:
    """The error of a disk that filled up while `what` was written below `folder`."""
    return DiskFullError(f"{folder}: the disk is full ({_megabytes(free_bytes(folder))} MB free) while writing {what}; {RESUME}")


def with_rest(error: DiskFullError, written: Sequence[Path], left: int, things: str) -> DiskFullError:
    """The error with what is still needed: `left` more files of the mean size of `written`, and as much again for packing them."""
    sizes = [path.stat().st_size for path in written if path.exists()]
    if not sizes or left <= 0:
        return error
    return DiskFullError(f"{error}; {left} more {things} need about {_megabytes(2 * left * sum(sizes) // len(sizes))} MB there")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of any library says that a disk or quota is full; pyarrow and safetensors keep only the words."""
    return getattr(error, "errno", None) in _FULL or any(text in str(error) for text in _FULL_TEXTS)


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that `folder` is, or will be, on."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f}"
