"""LeRobot datasets of anybody's, versions v2.0, v2.1 and v3.0, read alike: episodes with their columns, words and videos.

v2.x: one parquet and one mp4 an episode, `meta/tasks.jsonl`, `meta/episodes.jsonl` (v2.1 keeps statistics per episode as
well). v3.0: many episodes a file, `meta/tasks.parquet`, `meta/episodes/`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
from pyarrow import parquet

from dial_core.datasets.modality import Modality, load_modality
from dial_core.errors import DialError

VERSIONS = ("v2.0", "v2.1", "v3.0")


@dataclass(frozen=True)
class SourceEpisode:
    """Where one episode lies: rows of `table` with its index, frames of each camera's video from a first one."""

    index: int
    length: int
    tasks: tuple[str, ...]
    table: Path
    videos: dict[str, tuple[Path, int]]
    facts: dict
    seed: int = 0

    @property
    def name(self) -> str:
        """How errors and reports call it."""
        return f"episode {self.index}"


class LeRobotSource:
    """One dataset folder."""

    def __init__(self, folder: Path) -> None:
        """Raises DialError if `folder` is no LeRobot dataset of a version that is read."""
        self.folder = Path(folder)
        info = self.folder / "meta/info.json"
        if not info.is_file():
            raise DialError(f"{folder} is no LeRobot dataset: {info} is missing; name the folder that has meta/, data/ and videos/")
        self.info = json.loads(info.read_text())
        self.version = str(self.info.get("codebase_version"))
        if self.version not in VERSIONS:
            raise DialError(f"{folder} has LeRobot version {self.version}; read: {', '.join(VERSIONS)}")
        self.rate_hz = float(self.info["fps"])
        self.features: dict[str, dict] = self.info["features"]
        self._newest_table: tuple[Path, pyarrow.Table] | None = None

    @cached_property
    def modality(self) -> Modality:
        """Parts of its vectors, cameras and annotations."""
        return load_modality(self.folder, self.features)

    @cached_property
    def tasks(self) -> dict[int, str]:
        """Instructions (and GR00T's annotation words) by index."""
        if self.version == "v3.0":
            table = parquet.read_table(self.folder / "meta/tasks.parquet").to_pydict()
            words = table.get("task") or table.get("__index_level_0__") or []
            return dict(zip(table["task_index"], words, strict=True))
        return {row["task_index"]: row["task"] for row in _json_lines(self.folder / "meta/tasks.jsonl")}

    @cached_property
    def video_keys(self) -> tuple[str, ...]:
        """Features that are videos."""
        return tuple(key for key, feature in self.features.items() if feature["dtype"] == "video")

    @cached_property
    def episodes(self) -> list[SourceEpisode]:
        """All episodes in order."""
        if self.version == "v3.0":
            files = sorted((self.folder / "meta/episodes").rglob("*.parquet"))
            return [self._episode_v3(row) for file in files for row in parquet.read_table(file).to_pylist()]
        return [self._episode_v2(row) for row in _json_lines(self.folder / "meta/episodes.jsonl")]

    def columns(self, episode: SourceEpisode) -> dict[str, np.ndarray]:
        """The episode's columns, (T, width) each; texts and other objects are left out.

        Raises:
            DialError: the file is missing or broken, or holds another number of rows than the episode has frames.
        """
        try:
            table = self._table(episode.table)
        except (OSError, pyarrow.ArrowException) as error:
            raise DialError(f"{self.folder}, {episode.name}: {episode.table.name} cannot be read: {error}") from error
        if self.version == "v3.0":
            table = table.filter(pyarrow.compute.equal(table["episode_index"], episode.index))
        if len(table) != episode.length:
            raise DialError(f"{self.folder}, {episode.name}: {len(table)} rows, its metadata say {episode.length}; make the dataset anew")
        return {name: column for name in table.column_names if (column := _matrix(table[name])) is not None}

    def _table(self, path: Path) -> pyarrow.Table:
        # Hundreds of episodes of v3.0 share a file: the last one stays.
        if self._newest_table is None or self._newest_table[0] != path:
            self._newest_table = path, parquet.read_table(path)
        return self._newest_table[1]

    def instruction(self, episode: SourceEpisode, columns: dict[str, np.ndarray], annotation: str | None = None) -> str:
        """What the robot was told: by an annotation's column, by `task_index`, or by the episode's first task.

        `annotation`: its name in modality.json; None: the first one that is not about validity.
        """
        notes = self.modality.annotations
        if annotation is not None and annotation not in notes:
            raise DialError(f"{self.folder}: no annotation '{annotation}' in meta/modality.json; there are {', '.join(notes) or 'none'}")
        name = annotation or next((name for name in notes if not name.endswith("validity")), None)
        column = notes[name] if name else "task_index"
        if column in columns and int(columns[column][0, 0]) in self.tasks:
            return self.tasks[int(columns[column][0, 0])]
        if not episode.tasks:
            raise DialError(f"{self.folder}, {episode.name}: no instruction, neither in column '{column}' nor among its tasks")
        return episode.tasks[0]

    def invalid(self, columns: dict[str, np.ndarray]) -> bool:
        """Whether GR00T's annotation `human.validity` calls the episode anything but valid."""
        column = next((column for name, column in self.modality.annotations.items() if name.endswith("validity")), None)
        return column in columns and self.tasks.get(int(columns[column][0, 0]), "valid") != "valid"

    def _episode_v2(self, row: dict) -> SourceEpisode:
        index = row["episode_index"]
        place = {"episode_chunk": index // int(self.info.get("chunks_size", 1000)), "episode_index": index}
        table = self.folder / self.info["data_path"].format(**place)
        path = self.info.get("video_path") or ""
        videos = {key: (self.folder / path.format(video_key=key, **place), 0) for key in self.video_keys}
        return SourceEpisode(index, row["length"], tuple(row["tasks"]), table, videos, {})

    def _episode_v3(self, row: dict) -> SourceEpisode:
        place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        table = self.folder / self.info["data_path"].format(**place)
        videos = {}
        for key in self.video_keys:
            own = {"chunk_index": row[f"videos/{key}/chunk_index"], "file_index": row[f"videos/{key}/file_index"]}
            first = round(row[f"videos/{key}/from_timestamp"] * self.rate_hz)
            videos[key] = (self.folder / self.info["video_path"].format(video_key=key, **own), first)
        facts = json.loads(row["facts"]) if row.get("facts") else {}
        return SourceEpisode(row["episode_index"], row["length"], tuple(row["tasks"]), table, videos, facts, row.get("seed") or 0)


def _json_lines(file: Path) -> list[dict]:
    try:
        return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    except (OSError, json.JSONDecodeError) as error:
        raise DialError(f"{file} cannot be read: {error}") from error


def _matrix(column: pyarrow.ChunkedArray) -> np.ndarray | None:
    kind = column.type
    if pyarrow.types.is_list(kind) or pyarrow.types.is_fixed_size_list(kind) or pyarrow.types.is_large_list(kind):
        if not (pyarrow.types.is_floating(kind.value_type) or pyarrow.types.is_integer(kind.value_type)):
            return None
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1) if len(column) else flat.reshape(0, 0)
    if pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind):
        return column.to_numpy().reshape(-1, 1)
    return None
