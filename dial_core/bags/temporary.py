"""Copies of storage files in the temporary folder (TMPDIR), where a file cannot be read in its place."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dial_core.files.disk_space import DiskFullError, disk_errors, full_disk, require_free

ELSEWHERE = "in the temporary folder (TMPDIR names another one)"


class TemporaryFolder:
    """A folder that is removed with this object, at the latest when the process ends. `path`: of the folder."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="dial-bag-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@contextmanager
def temporary_folder(needed_bytes: int, what: str) -> Iterator[TemporaryFolder]:
    """A folder to fill in the block, which is removed at once if the block fails.

    Args:
        needed_bytes: that will be written to it.
        what: is written, e.g. "a copy of x.db3".

    Raises:
        DiskFullError: the disk of the temporary folder has no room for it, or fills up meanwhile.
    """
    root = Path(tempfile.gettempdir())
    require_free(root, needed_bytes, f"{what} {ELSEWHERE}")
    with disk_errors(root, f"{what} {ELSEWHERE}"):
        folder = TemporaryFolder()
        try:
            yield folder
        except BaseException:
            folder.remove()
            raise


def temporary_folder_is_full(what: str) -> DiskFullError:
    """The error of a library that found no room there for `what`."""
    return full_disk(Path(tempfile.gettempdir()), f"{what} {ELSEWHERE}")
