"""LeRobot v3 datasets: written from stored episodes, read back as arrays and frames.

Layout (codebase version v3.0): `data/chunk-000/file-000.parquet` with one row a frame, `videos/<key>/chunk-000/
file-000.mp4` with the same episodes one after the other, and `meta/`: `info.json`, `stats.json`, `tasks.parquet`,
`episodes/chunk-000/file-000.parquet`; plus `modality.json`, by which GR00T names the parts of the vectors.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from dial_core.datasets.episodes import StoredEpisode, has_action_mask, load_episode
from dial_core.datasets.lerobot_meta import info_of, modality_of, tasks_table
from dial_core.datasets.statistics import Statistics, merge, statistics_of
from dial_core.datasets.stored_views import read_stored_views, write_stored_views
from dial_core.datasets.video import concatenate, read_frames, read_video
from dial_core.errors import DialError
from dial_core.observation.camera_view import StoredView
from dial_core.robot.embodiment import Embodiment

EPISODES_PER_FILE = 500
ACTION_MASK = "action_mask"


def write_dataset(
    folder: Path,
    episodes: Sequence[Path],
    embodiment: Embodiment,
    frame_shape: tuple[int, int],
    more_cameras: Mapping[str, tuple[int, int]] | None = None,
    stored_views: Mapping[str, StoredView] | None = None,
) -> None:
    """Packs stored episodes, in the order given, as a LeRobot v3 dataset at `folder`, which appears complete or not at all.

    Args:
        episodes: files of `save_episode` or `store_episode`.
        frame_shape: (height, width) [pixel] of the first camera's frames.
        more_cameras: those of the further cameras, by name; every episode has their videos.
        stored_views: how frames were fitted, by camera; without an entry they are the camera's own images.
    """
    if not episodes:
        raise DialError(f"No episode to write to {folder}; collect at least one successful demonstration.")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shapes = {embodiment.cameras[0].name: frame_shape, **(more_cameras or {})}
    tasks: dict[str, int] = {}
    parts: list[dict[str, Statistics]] = []
    frames = 0
    masked = any(has_action_mask(path) for path in episodes)
    for file_index, first in enumerate(range(0, len(episodes), EPISODES_PER_FILE)):
        batch = [load_episode(path) for path in episodes[first : first + EPISODES_PER_FILE]]
        name = f"chunk-000/file-{file_index:03d}"
        table, rows, statistics = _tables(
            batch, first, frames, file_index, tasks, [camera_key(name) for name in shapes], embodiment.rate_hz, masked
        )
        _write_parquet(partial / f"data/{name}.parquet", table)
        _write_parquet(partial / f"meta/episodes/{name}.parquet", rows)
        for camera in shapes:
            videos = [episode.more_videos[camera] if camera in (more_cameras or {}) else episode.video for episode in batch]
            concatenate(partial / f"videos/{camera_key(camera)}/{name}.mp4", videos, embodiment.rate_hz)
        parts += statistics
        frames += table.num_rows
    stats = {name: merge([part[name] for part in parts]).as_lerobot() for name in parts[0]}
    info = info_of(embodiment, {camera_key(name): shape for name, shape in shapes.items()}, len(episodes), frames, len(tasks))
    if masked:
        info["features"][ACTION_MASK] = info["features"]["action"]
    _write_parquet(partial / "meta/tasks.parquet", tasks_table(tasks))
    for name, content in {
        "info": info,
        "stats": stats,
        "modality": modality_of(embodiment, {name: camera_key(name) for name in shapes}),
    }.items():
        (partial / f"meta/{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    write_stored_views(partial, stored_views or {})
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def video_key(embodiment: Embodiment) -> str:
    """Name of the head camera's video in the dataset."""
    return camera_key(embodiment.cameras[0].name)


def camera_key(name: str) -> str:
    """Name of a camera's video in the dataset."""
    return f"observation.images.{name}"


def _tables(
    batch: list[StoredEpisode],
    first_episode: int,
    first_frame: int,
    file_index: int,
    tasks: dict[str, int],
    keys: list[str],
    rate_hz: float,
    masked: bool,
) -> tuple[pyarrow.Table, pyarrow.Table, list[dict[str, Statistics]]]:
    """Frame table, episode table and statistics of one file's episodes; new instructions are added to `tasks`."""
    frame_tables, episode_rows, statistics = [], [], []
    frame, file_frame = first_frame, 0
    for episode_index, episode in enumerate(batch, first_episode):
        length = len(episode)
        task_index = tasks.setdefault(episode.instruction, len(tasks))
        columns = {
            "observation.state": _vectors(episode.states),
            "action": _vectors(episode.actions),
            "timestamp": pyarrow.array(np.arange(length, dtype=np.float32) / np.float32(rate_hz)),
            "frame_index": pyarrow.array(np.arange(length)),
            "episode_index": pyarrow.array(np.full(length, episode_index)),
            "index": pyarrow.array(np.arange(frame, frame + length)),
            "task_index": pyarrow.array(np.full(length, task_index)),
        }
        if masked:
            everywhere = np.ones_like(episode.actions)
            columns[ACTION_MASK] = _vectors(everywhere if episode.action_mask is None else episode.action_mask)
        frame_tables.append(pyarrow.table(columns))
        own = {"observation.state": statistics_of(episode.states), "action": statistics_of(episode.actions)}
        statistics.append(own)
        episode_rows.append(
            {
                "episode_index": episode_index,
                "tasks": [episode.instruction],
                "length": length,
                "seed": episode.seed,
                "facts": json.dumps(episode.facts),
                "data/chunk_index": 0,
                "data/file_index": file_index,
                "dataset_from_index": frame,
                "dataset_to_index": frame + length,
                **{
                    f"videos/{key}/{what}": value
                    for key in keys
                    for what, value in {
                        "chunk_index": 0,
                        "file_index": file_index,
                        "from_timestamp": file_frame / rate_hz,
                        "to_timestamp": (file_frame + length) / rate_hz,
                    }.items()
                },
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": file_index,
                **{f"stats/{name}/{what}": value for name in own for what, value in own[name].as_lerobot().items()},
            }
        )
        frame, file_frame = frame + length, file_frame + length
    return pyarrow.concat_tables(frame_tables), pyarrow.Table.from_pylist(episode_rows), statistics


def _vectors(values: np.ndarray) -> pyarrow.Array:
    flat = pyarrow.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _write_parquet(path: Path, table: pyarrow.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


@dataclass(frozen=True)
class EpisodeSpan:
    """Where one episode lies: rows `first` .. `first + length - 1`, and the same frames in each video of `videos`.

    `videos`: by camera name, the file and its first frame of the episode; the first camera's are `video` and `video_first`.
    """

    first: int
    length: int
    instruction: str
    task_index: int
    seed: int
    facts: dict
    videos: dict[str, tuple[Path, int]]

    @property
    def video(self) -> Path:
        """The first camera's video file."""
        return next(iter(self.videos.values()))[0]

    @property
    def video_first(self) -> int:
        """The episode's first frame in it."""
        return next(iter(self.videos.values()))[1]


class LeRobotDataset:
    """A LeRobot v3 dataset on disk, read by plain arrays."""

    def __init__(self, folder: Path) -> None:
        """Raises DialError if `folder` is no LeRobot v3 dataset."""
        self.folder = Path(folder)
        info = self.folder / "meta/info.json"
        if not info.exists():
            raise DialError(f"{folder} is no LeRobot dataset: {info} is missing; make one with `dial collect`.")
        self.info = json.loads(info.read_text())
        if self.info["codebase_version"] != "v3.0":
            raise DialError(f"{folder} has LeRobot version {self.info['codebase_version']}; supported: v3.0.")
        self.rate_hz = float(self.info["fps"])
        keys = [key for key in self.info["features"] if key.startswith(camera_key(""))]
        if not keys:
            raise DialError(f"{folder} has no camera: no feature in {info} begins with {camera_key('')}")
        self.cameras = tuple(key.removeprefix(camera_key("")) for key in keys)
        self.video_key = keys[0]

    @cached_property
    def stored_views(self) -> dict[str, StoredView]:
        """How frames were fitted when they were stored, by camera; no entry: the camera's own images."""
        return read_stored_views(self.folder)

    @cached_property
    def _frames(self) -> pyarrow.Table:
        return parquet.read_table([str(path) for path in sorted((self.folder / "data").rglob("*.parquet"))])

    def _matrix(self, name: str) -> np.ndarray:
        column = self._frames[name].combine_chunks()
        return column.flatten().to_numpy().reshape(len(column), -1)

    @cached_property
    def states(self) -> np.ndarray:
        """All measured states, float32 (F, 47) [m, rad]."""
        return self._matrix("observation.state")

    @cached_property
    def actions(self) -> np.ndarray:
        """All actions, absolute targets, float32 (F, 47) [m, rad]."""
        return self._matrix("action")

    @cached_property
    def action_mask(self) -> np.ndarray | None:
        """1 where an action counts, float32 (F, 47); None: everywhere."""
        return self._matrix(ACTION_MASK) if ACTION_MASK in self.info["features"] else None

    @cached_property
    def instructions(self) -> list[str]:
        """All instructions, by task index."""
        table = parquet.read_table(self.folder / "meta/tasks.parquet")
        named = dict(zip(table["task_index"].to_pylist(), table["task"].to_pylist(), strict=True))
        return [named[index] for index in range(len(named))]

    @cached_property
    def episodes(self) -> list[EpisodeSpan]:
        """All episodes in order."""
        files = sorted((self.folder / "meta/episodes").rglob("*.parquet"))
        rows = [row for path in files for row in parquet.read_table(path).to_pylist()]
        task_index = {instruction: index for index, instruction in enumerate(self.instructions)}
        return [self._span(row, task_index) for row in rows]

    def _span(self, row: dict, task_index: dict[str, int]) -> EpisodeSpan:
        return EpisodeSpan(
            first=row["dataset_from_index"],
            length=row["length"],
            instruction=row["tasks"][0],
            task_index=task_index[row["tasks"][0]],
            seed=row["seed"],
            facts=json.loads(row["facts"]),
            videos={camera: self._video(row, f"videos/{camera_key(camera)}") for camera in self.cameras},
        )

    def _video(self, row: dict, key: str) -> tuple[Path, int]:
        name = f"chunk-{row[f'{key}/chunk_index']:03d}/file-{row[f'{key}/file_index']:03d}.mp4"
        return self.folder / key / name, round(row[f"{key}/from_timestamp"] * self.rate_hz)

    def frames(self, span: EpisodeSpan, camera: str = "") -> np.ndarray:
        """All frames of one episode, uint8 (T, H, W, 3); `camera`: by name, the first one if empty."""
        return read_frames(*span.videos[camera or self.cameras[0]], span.length, self.rate_hz)

    def all_frames(self) -> Iterator[np.ndarray]:
        """Every frame of the dataset in order, uint8 (H, W, 3)."""
        for video in dict.fromkeys(span.video for span in self.episodes):
            yield from read_video(video)
