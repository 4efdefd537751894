"""Columns of a parquet table as matrices: every row with the same number of values, none of them null."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow
import pyarrow.compute

from dial_core.errors import DialError


class MissingColumnError(DialError, KeyError):
    """A table has no such column."""

    __str__ = Exception.__str__  # KeyError quotes its message


class Columns(Mapping[str, np.ndarray]):
    """The numeric columns of one episode by name, (T, width) each, converted when asked for.

    Looking one up raises DialError if it is missing, or if its rows are null or of different lengths; columns that nobody needs
    do no harm.
    """

    def __init__(self, table: pyarrow.Table, where: str) -> None:
        """`where`: the episode, as errors name it."""
        self._table, self._where = table, where
        self._names = [name for name in table.column_names if _is_numeric(table.schema.field(name).type)]
        self._found: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise MissingColumnError(f"{self._where} has no column '{name}'; numeric columns: {', '.join(self._names) or 'none'}")
        if name not in self._found:
            self._found[name] = matrix_of(self._table[name], f"{self._where}: {name}")
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def matrix_of(column: pyarrow.ChunkedArray, where: str) -> np.ndarray:
    """A column of numbers, or of lists of numbers however deep, as (T, width).

    Raises:
        DialError: a row is null, holds a null, or has another number of values than the first; the message names the row.
    """
    values = column.combine_chunks()
    if not _is_numeric(values.type):
        raise DialError(f"{where} holds '{values.type}', not numbers")
    rows = len(values)
    while isinstance(values, pyarrow.ChunkedArray):  # pyarrow returns one for several chunks that cannot be combined
        values = values.chunk(0) if values.num_chunks else pyarrow.array([], column.type)
    while _is_list(values.type) or isinstance(values.type, pyarrow.BaseExtensionType):
        if isinstance(values.type, pyarrow.BaseExtensionType):  # a tensor of Arrow or of Hugging Face datasets
            values = values.storage
            continue
        _require_no_null(values, rows, where)
        if not pyarrow.types.is_fixed_size_list(values.type):
            _require_one_length(values, rows, where)
        values = values.flatten()
    _require_no_null(values, rows, where)
    flat = values.to_numpy(zero_copy_only=False)
    return flat.reshape(rows, -1) if rows else flat.reshape(0, 0)


def _require_no_null(values: pyarrow.Array, rows: int, where: str) -> None:
    if values.null_count:
        place = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise DialError(f"{where} has {values.null_count} empty (null) values, first in frame {place * rows // len(values)}")


def _require_one_length(values: pyarrow.Array, rows: int, where: str) -> None:
    lengths = pyarrow.compute.list_value_length(values).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != lengths[0]) if len(lengths) else lengths
    if len(wrong):
        place = int(wrong[0])
        raise DialError(f"{where} has {lengths[place]} values in frame {place * rows // len(lengths)}, {lengths[0]} in the first")


def _is_list(kind: pyarrow.DataType) -> bool:
    return pyarrow.types.is_list(kind) or pyarrow.types.is_fixed_size_list(kind) or pyarrow.types.is_large_list(kind)


def _is_numeric(kind: pyarrow.DataType) -> bool:
    while _is_list(kind) or isinstance(kind, pyarrow.BaseExtensionType):
        kind = kind.storage_type if isinstance(kind, pyarrow.BaseExtensionType) else kind.value_type
    return pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind)
