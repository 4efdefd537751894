"""The list of a dataset's episodes, `meta/episodes.jsonl` (v2) or `meta/episodes/` (v3), whole or cut off by a recorder that was killed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dial_core.datasets.meta_files import parquet_files, read_json_lines, read_json_lines_to_cut, read_table
from dial_core.datasets.metadata import EpisodeRecord, Info, validated
from dial_core.errors import DialError

_NUMBER = re.compile(r"(\d+)\.parquet$")


@dataclass(frozen=True)
class ListedEpisodes:
    """The episodes that a dataset lists.

    Attributes:
        records: in order of their index.
        lost: reason by name of the episodes that a cut list no longer names; empty if it is whole.
    """

    records: list[EpisodeRecord]
    lost: dict[str, str]


def load_listed_episodes(folder: Path, info: Info, accept_cut: bool = False) -> ListedEpisodes:
    """All rows of the list, statistics left out.

    Args:
        accept_cut: read a list that ends within a line (v2), or some of whose files cannot be read (v3), as far as it goes.

    Raises:
        DialError: it is missing or broken, or an index comes twice.
    """
    file = folder / ("meta/episodes" if info.codebase_version == "v3.0" else "meta/episodes.jsonl")
    rows, fault = (_rows_of_files if info.codebase_version == "v3.0" else _rows_of_lines)(folder, info, accept_cut)
    records = [validated(EpisodeRecord, row, f"{path}, row {number}") for number, (path, row) in enumerate(rows)]
    if not records:
        raise DialError(f"{file} lists no episode" + (f": {fault}" if fault else ""))
    indices = [record.episode_index for record in records]
    if len(set(indices)) < len(indices):
        raise DialError(f"{file} lists episode {next(index for index in indices if indices.count(index) > 1)} twice")
    if not fault and (info.total_episodes or 0) > len(records):
        fault = f"info.json says {info.total_episodes} episodes, {file.relative_to(folder)} lists {len(records)}"
    lost = _lost(folder, info, set(indices), fault) if accept_cut and fault else {}
    return ListedEpisodes(sorted(records, key=lambda record: record.episode_index), lost)


Rows = list[tuple[Path, Any]]


def _rows_of_lines(folder: Path, info: Info, accept_cut: bool) -> tuple[Rows, str]:
    """The lines of `meta/episodes.jsonl` with their file, and where it is cut off; empty if it is whole."""
    file = folder / "meta/episodes.jsonl"
    if not file.is_file():
        raise DialError(_missing(folder, info, file))
    if not accept_cut:
        return [(file, row) for row in read_json_lines(file)], ""
    rows, cut_line = read_json_lines_to_cut(file)
    return [(file, row) for row in rows], f"meta/episodes.jsonl is cut off in line {cut_line}" if cut_line else ""


def load_image_means(folder: Path, keys: Collection[str]) -> dict[tuple[int, str], np.ndarray]:
    """Mean colour of each episode's images in [0, 1], (3,), by index and camera's key; without those that a v3 list does not have."""
    columns = {f"stats/{key}/mean": key for key in keys}
    means: dict[tuple[int, str], np.ndarray] = {}
    for file in parquet_files(folder / "meta/episodes"):
        try:
            rows = read_table(file, lambda field: field.name in columns or field.name == "episode_index").to_pylist()
        except DialError:  # reported where the list is read
            continue
        for row in rows:
            for column, key in columns.items():
                if (mean := _colour(row.get(column))) is not None:
                    means[row["episode_index"], key] = mean
    return means


def _colour(value: object) -> np.ndarray | None:
    """A mean of three channels, however it is nested; None if it is none."""
    try:
        mean = np.ravel(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        return None
    return mean if mean.shape == (3,) and np.isfinite(mean).all() else None


def _rows_of_files(folder: Path, info: Info, accept_cut: bool) -> tuple[Rows, str]:
    """The rows of all files of `meta/episodes/` with their file, and what is wrong with those that cannot be read."""
    files = parquet_files(folder / "meta/episodes")
    if not files:
        raise DialError(_missing(folder, info, folder / "meta/episodes"))
    rows, faults = [], []
    for file in files:
        try:
            rows += [(file, row) for row in read_table(file, lambda field: not field.name.startswith("stats/")).to_pylist()]
        except DialError as error:
            if not accept_cut:
                raise
            faults.append(str(error).replace(f"{folder}/", ""))
    return rows, "; ".join(faults)


def _lost(folder: Path, info: Info, listed: set[int], fault: str) -> dict[str, str]:
    """Reason by name of the episodes that are in the dataset but no longer in its list."""
    unlisted = sorted(set(_stored(folder)) - listed) if info.codebase_version != "v3.0" else []
    if unlisted:
        return {f"episode {index}": f"it is not listed: {fault}" for index in unlisted}
    count = max(1, (info.total_episodes or 0) - len(listed))
    return {f"{count} further episode{'s' if count > 1 else ''}": fault}


def _stored(folder: Path) -> Iterator[int]:
    """Numbers of the episodes that have a file of rows (v2)."""
    for file in parquet_files(folder / "data"):
        if number := _NUMBER.search(file.name):
            yield int(number[1])


def _missing(folder: Path, info: Info, file: Path) -> str:
    other = next((name for name in ("meta/episodes.jsonl", "meta/episodes") if (folder / name).exists()), None)
    hint = "copy the dataset again"
    if other:
        hint = f"{folder}/{other} is there: key 'codebase_version' of info.json ({info.codebase_version}) does not fit"
    return f"{file} is missing, which says where each episode lies; {hint}"
