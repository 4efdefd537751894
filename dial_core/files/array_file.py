"""Random rows of a large `.npy` file, read one at a time.

A memory map would fault in every 4 kB page of a row by itself and keep it among the process's pages: for rows of hundreds of
kilobytes, each seen once an epoch, five times as slow as one read.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dial_core.errors import DialError


class ArrayFile:
    """A C-ordered array (F, ...) in a `.npy` file. May be copied into other processes, each of which opens it for itself."""

    def __init__(self, path: Path) -> None:
        """Raises DialError if the file is shorter than its header says."""
        self.path = path
        mapped = np.load(path, mmap_mode="r")
        self.shape, self.dtype, self._offset = mapped.shape, mapped.dtype, mapped.offset
        self._row_bytes = mapped.nbytes // max(1, len(mapped))
        self._descriptor: int | None = None
        self._owner = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Rows by number, (len(rows), ...)."""
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows):
            if not 0 <= row < len(self):
                raise IndexError(f"{self.path} has rows 0 to {len(self) - 1}, not {row}")
            data = os.pread(self._file(), self._row_bytes, self._offset + int(row) * self._row_bytes)
            if len(data) < self._row_bytes:
                raise DialError(f"{self.path} ends within row {row}; delete it, and it is computed again")
            found[place] = np.frombuffer(data, self.dtype).reshape(self.shape[1:])
        return found

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_descriptor": None}

    def __del__(self) -> None:
        if self._descriptor is not None and self._owner == os.getpid():
            os.close(self._descriptor)

    def _file(self) -> int:
        if self._descriptor is None:
            self._descriptor, self._owner = os.open(self.path, os.O_RDONLY), os.getpid()
        return self._descriptor
