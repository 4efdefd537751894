"""Files of `meta/` and `data/` as they lie on a disk: JSON, lines of JSON and parquet, or one line that names the file and its fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from dial_core.errors import DialError
from dial_core.files.integrity import require_content


def read_json(file: Path) -> Any:
    """The JSON value in a file, with or without a byte order mark.

    Raises:
        DialError: it cannot be read, is a Git LFS pointer, is not UTF-8, or is cut off.
    """
    try:
        return json.loads(read_meta_text(file))
    except ValueError as error:
        raise DialError(f"{file} is not valid JSON: {error}; is it complete?") from error


def read_json_lines(file: Path) -> list[Any]:
    """The JSON values of a `.jsonl` file: one a line, over several lines each, or all in one list."""
    return _read_lines(file, accept_cut=False)[0]


def read_json_lines_to_cut(file: Path) -> tuple[list[Any], int]:
    """The whole values of a `.jsonl` file, and the number of its last line if a killed program left that incomplete; 0 if not."""
    return _read_lines(file, accept_cut=True)


def _read_lines(file: Path, accept_cut: bool) -> tuple[list[Any], int]:
    text = read_meta_text(file, accept_cut)
    values, place = [], 0
    try:
        for value, end in _json_values(text):
            values.append(value)
            place = end
    except ValueError as error:
        rest = text[place:].lstrip()
        if not accept_cut or not values or "\n" in rest:  # more than the last line is wrong
            raise DialError(f"{file} is not valid JSON lines: {error}; is it complete?") from error
        return values, text[: len(text) - len(rest)].count("\n") + 1
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values, 0


def read_meta_text(file: Path, accept_cut: bool = False) -> str:
    """The text of a metadata file; `accept_cut`: it may end within a character.

    Raises:
        DialError: it cannot be read, is a Git LFS pointer, or is not UTF-8.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DialError(f"{file} cannot be read: {error.strerror}") from error
    require_content(file, data)
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        if accept_cut and error.reason == "unexpected end of data":
            return data[: error.start].decode("utf-8-sig")
        raise DialError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files below `folder`, in order; not what file systems leave beside them (`._file-000.parquet` of macOS)."""
    return sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith("."))


def read_table(file: Path, keep: Callable[[pyarrow.Field], bool] | None = None) -> pyarrow.Table:
    """A parquet file, or the columns that `keep` accepts.

    Raises:
        DialError: it is missing, cut off, a Git LFS pointer, or not parquet.
    """
    try:
        stored = parquet.ParquetFile(file)
        kept = [field.name for field in stored.schema_arrow if keep is None or keep(field)]
        table = stored.read(None if keep is None else kept)
        table.validate(full=True)  # bytes that are no UTF-8 would only fail where a text is read
        _ = table.column_names
        return table
    except FileNotFoundError as error:
        raise DialError(f"{file} is missing") from error
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        require_content(file)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DialError(f"{file} cannot be read: {reason.rstrip('.')}; is it complete?") from error


def _json_values(text: str) -> Iterator[tuple[Any, int]]:
    """The values in a text, each with the place after it."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        value, place = decoder.raw_decode(text, place)
        yield value, place
