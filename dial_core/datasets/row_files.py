"""The parquet files of a dataset's rows, and its list of episodes, while it is written."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from pyarrow import parquet

from dial_core.datasets.lerobot_meta import CHUNKS_SIZE, DATA_FILE_MB, EPISODES_PER_FILE


class RowFiles:
    """Files `data/chunk-000/file-000.parquet` and so on, a row group for each episode, and `meta/episodes` in as many.

    Rows are written as they come: in memory are the open file's records alone.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: of the dataset."""
        self._folder, self._files, self._bytes = folder, 0, 0
        self._writer: parquet.ParquetWriter | None = None
        self._records: list[dict] = []

    def add(self, rows: pyarrow.Table) -> tuple[int, int]:
        """Appends the rows of an episode; returns chunk and number of their file, for the episode's record."""
        if len(self._records) == EPISODES_PER_FILE or self._bytes + rows.nbytes > DATA_FILE_MB * 2**20:
            self.close()
        if self._writer is None:
            self._writer = parquet.ParquetWriter(with_parent_folder(self._path("data")), rows.schema)
        self._writer.write_table(rows)
        self._bytes += rows.nbytes
        return divmod(self._files, CHUNKS_SIZE)

    def describe(self, record: dict) -> None:
        """Takes the record of the episode whose rows were added last."""
        self._records.append(record)

    def close(self) -> None:
        """Completes the open file, if there is one; the next episode begins another."""
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        if self._records:
            parquet.write_table(pyarrow.Table.from_pylist(self._records), with_parent_folder(self._path("meta/episodes")))
        self._files, self._bytes, self._records = self._files + 1, 0, []

    def _path(self, kind: str) -> Path:
        chunk, number = divmod(self._files, CHUNKS_SIZE)
        return self._folder / f"{kind}/chunk-{chunk:03d}/file-{number:03d}.parquet"


def with_parent_folder(path: Path) -> Path:
    """Creates the parent folder of `path` where it is missing; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
