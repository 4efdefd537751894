"""Camera images stored one by one in a parquet column: which image each row of an episode sees.

LeRobot datasets without videos hold a struct of `bytes` (an encoded image) and `path` in each row, as Hugging Face `datasets` writes
images. A row whose `bytes` are null names a file of the dataset instead.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from PIL import Image, ImageOps, UnidentifiedImageError
from pyarrow import parquet

from dial_core.errors import DialError

_ROWS_AT_ONCE = 16  # of encoded images in memory
_READ_BYTES = 1 << 20
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_COLOUR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # the others hold more than 8 bits a channel


@dataclass(frozen=True)
class RowImages:
    """The images that the rows of an episode see.

    Attributes:
        folder: of the dataset, for images in files of their own.
        table: the parquet file.
        column: of the images.
        places: of the episode's rows in the file, in order of time, int64 (T,).
        where: the episode, as errors name it.
    """

    folder: Path
    table: Path
    column: str
    places: np.ndarray
    where: str

    def frames(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """The images of `rows` (not decreasing), uint8 (H, W, 3); one in memory at a time.

        Raises:
            DialError: a row has no image, it cannot be decoded, holds depth, or differs in size from the first one of the episode.
        """
        newest, pixels = -1, np.empty((0, 0, 3), np.uint8)
        cells = self._cells([int(self.places[row]) for row in dict.fromkeys(rows)])
        for row in rows:
            if row != newest:
                newest, pixels = row, self._decoded(next(cells), row)
                if pixels.shape[:2] != self.size:
                    raise DialError(f"{self._row(row)} is {_shape(pixels.shape[:2])}, that of frame 0 {_shape(self.size)}")
            yield pixels

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width [px] of the episode's first image. Raises DialError as `frames`."""
        height, width = self._decoded(next(self._cells([int(self.places[0])])), 0).shape[:2]
        return height, width

    def _cells(self, places: Sequence[int]) -> Iterator[Any]:
        """The column's values at rows of the file, a few rows in memory at a time while `places` do not decrease."""
        try:
            with parquet.ParquetFile(self.table, buffer_size=_READ_BYTES) as file:
                if self.column not in file.schema_arrow.names:
                    raise DialError(
                        f"{self.where}: column '{self.column}' is missing in {self.table.name}, info.json says that it holds images"
                    )
                starts = np.cumsum([0, *(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))])
                first, end, held = 0, 0, pyarrow.array([])
                batches: Iterator[pyarrow.RecordBatch] = iter(())
                for place in places:
                    if place < first or place >= end:
                        group = int(np.searchsorted(starts, place, "right")) - 1
                        batches = file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[self.column])
                        first, end, held = int(starts[group]), int(starts[group + 1]), pyarrow.array([])
                    while place >= first + len(held):
                        first, held = first + len(held), next(batches).column(self.column)
                    yield held[place - first].as_py()
        except (OSError, pyarrow.ArrowException, ValueError, KeyError, StopIteration) as error:
            raise DialError(f"{self.table} cannot be read: {error}; is it complete?") from error

    def _decoded(self, cell: Any, row: int) -> np.ndarray:
        data = self._encoded(cell, row)
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.mode not in _COLOUR_MODES:
                    raise DialError(f"{self._row(row)} has mode '{image.mode}': a depth map, not colours")
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
            raise DialError(f"{self._row(row)} cannot be decoded ({len(data)} bytes); is it PNG or JPEG?") from error

    def _encoded(self, cell: Any, row: int) -> bytes:
        """The encoded image of a cell, or of the file that it names."""
        data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (cell, None)
        if isinstance(data, str):
            data, path = None, data
        if isinstance(data, bytes) and data:
            return data
        if not path:
            raise DialError(f"{self._row(row)} is missing" + (f": it holds {type(data).__name__}, not bytes" if data else " (null)"))
        file = self.folder / str(path).replace("\\", "/")
        # By its name: in a cache of Hugging Face, every file of a dataset is a link to one elsewhere.
        inside = any(Path(os.path.abspath(file)).is_relative_to(folder) for folder in (os.path.abspath(self.folder), self.folder.resolve()))
        if not inside or not file.is_file():
            raise DialError(f"{self._row(row)} has no bytes, and '{path}' is no file in {self.folder}; copy the images with the dataset")
        return file.read_bytes()

    def _row(self, row: int) -> str:
        return f"{self.where}: image of frame {row} of '{self.column}'"


def holds_images(kind: pyarrow.DataType) -> bool:
    """Whether an Arrow type is one in which single images are stored: a struct with `bytes`, or bytes."""
    if isinstance(kind, pyarrow.BaseExtensionType):
        kind = kind.storage_type
    if pyarrow.types.is_struct(kind):
        return bool(kind.get_all_field_indices("bytes"))
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _shape(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))
