"""LeRobot v3 datasets, written from stored episodes.

Layout (codebase version v3.0): `data/chunk-000/file-000.parquet` with a row for each frame, `videos/<key>/chunk-000/file-000.mp4` with
episodes one after the other (those of other codec parameters in a file of their own), more of both as they fill, `README.md`, and `meta/`:
`info.json`, `stats.json`, `tasks.parquet`, `episodes/chunk-000/file-000.parquet`; plus `modality.json`, by which GR00T names the
parts of the vectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from dial_core.datasets.camera_videos import CameraVideos, VideoPlace
from dial_core.datasets.episodes import StoredEpisode, has_action_mask, load_episode
from dial_core.datasets.lerobot import ACTION_MASK, camera_key
from dial_core.datasets.lerobot_meta import EPISODES_PER_FILE, SCALARS, card_of, info_of, modality_of, tasks_table
from dial_core.datasets.row_files import RowFiles, with_parent_folder
from dial_core.datasets.statistics import Statistics, image_statistics, merge, statistics_of
from dial_core.datasets.stored_views import write_stored_views
from dial_core.datasets.video import key_frames
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder
from dial_core.files.disk_space import require_free
from dial_core.observation.camera_view import StoredView
from dial_core.robot.embodiment import Embodiment


def write_dataset(
    folder: Path,
    episodes: Sequence[Path],
    embodiment: Embodiment,
    frame_shape: tuple[int, int],
    more_cameras: Mapping[str, tuple[int, int]] | None = None,
    stored_views: Mapping[str, StoredView] | None = None,
) -> None:
    """Writes stored episodes, in the order given, as a LeRobot v3 dataset at `folder`, which appears complete or not at all.

    Args:
        episodes: files of `save_episode` or `store_episode`.
        frame_shape: (height, width) [px] of the first camera's frames.
        more_cameras: those of the further cameras, by name; every episode has their videos.
        stored_views: how frames were fitted, by camera; without an entry they are the camera's own images.

    Raises:
        DialError: no episodes, or the disk has no room for them.
    """
    if not episodes:
        raise DialError(f"No episode to write to {folder}; collect at least one successful demonstration.")
    require_free(folder, sum(path.stat().st_size for path in episodes), f"the dataset {folder.name}")
    cameras = {embodiment.cameras[0].name: frame_shape, **(more_cameras or {})}
    masked = any(map(has_action_mask, episodes))
    write_episodes(folder, map(load_episode, episodes), embodiment, cameras, masked, stored_views or {})


def write_episodes(
    folder: Path,
    episodes: Iterable[StoredEpisode],
    embodiment: Embodiment,
    cameras: Mapping[str, tuple[int, int]],
    masked: bool,
    stored_views: Mapping[str, StoredView],
) -> None:
    """Writes episodes, as they are drawn, as a LeRobot v3 dataset at `folder`, which appears complete or not at all.

    Args:
        cameras: (height, width) [px] by name, the head camera first.
        masked: whether the dataset has action masks; episodes without one count everywhere.
        stored_views: as `write_dataset`.
    """
    with atomic_folder(folder, replace=True) as staging:
        with DatasetWriter(staging, embodiment, cameras, masked) as writer:
            for episode in episodes:
                writer.add(episode)
                del episode  # before the next one is made
            writer.finish()
        write_stored_views(staging, stored_views)


class DatasetWriter:
    """Writes a dataset episode by episode, of which one at a time is in memory; `finish` adds the metadata of the whole.

    A context that closes its files.
    """

    def __init__(self, folder: Path, embodiment: Embodiment, cameras: Mapping[str, tuple[int, int]], masked: bool) -> None:
        """
        Args:
            folder: to write into.
            cameras: (height, width) [px] by name, the head camera first.
            masked: whether the dataset has action masks; episodes without one count everywhere.
        """
        self.folder, self.embodiment, self.masked = folder, embodiment, masked
        self.cameras = {camera_key(name): shape for name, shape in cameras.items()}
        self._names = list(cameras)
        self._tasks: dict[str, int] = {}
        self._episodes = self._frames = 0
        self._statistics: list[dict[str, Statistics]] = []
        self._row_files = RowFiles(folder)
        self._videos = {key: CameraVideos(folder / f"videos/{key}", embodiment.rate_hz) for key in self.cameras}

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_files()

    def _close_files(self) -> None:
        self._row_files.close()
        for videos in self._videos.values():
            videos.close()

    def add(self, episode: StoredEpisode) -> None:
        """Appends an episode to the files of rows and to those of each camera.

        Raises:
            DialError: a video cannot be decoded, or has not one frame for each row.
        """
        statistics = self._statistics_of(episode)
        place = self._row_files.add(self._rows(episode))
        seen = {key: videos.add(self._video(episode, number), len(episode)) for number, (key, videos) in enumerate(self._videos.items())}
        self._row_files.describe(self._record(episode, statistics, place, seen))
        self._statistics.append(statistics)
        if len(self._statistics) == EPISODES_PER_FILE:
            self._statistics = [self._merged()]
        self._episodes, self._frames = self._episodes + 1, self._frames + len(episode)

    def _merged(self) -> dict[str, Statistics]:
        """Statistics of all episodes so far, by feature."""
        return {name: merge([part[name] for part in self._statistics]) for name in self._statistics[0]}

    def finish(self) -> None:
        """Completes the files and writes `info.json`, `stats.json`, `tasks.parquet`, `modality.json` and the dataset card."""
        self._close_files()
        info = info_of(self.embodiment, self.cameras, self._episodes, self._frames, len(self._tasks))
        if self.masked:
            info["features"][ACTION_MASK] = info["features"]["action"]
        stats = {name: values.as_lerobot(image=name in self.cameras) for name, values in self._merged().items()}
        modality = modality_of(self.embodiment, dict(zip(self._names, self.cameras, strict=True)))
        parquet.write_table(tasks_table(self._tasks), with_parent_folder(self.folder / "meta/tasks.parquet"))
        for name, content in {"info": info, "stats": stats, "modality": modality}.items():
            (self.folder / f"meta/{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (self.folder / "README.md").write_text(card_of(info, list(self._tasks)), encoding="utf-8")

    def _rows(self, episode: StoredEpisode) -> pyarrow.Table:
        columns = {"observation.state": _vectors(episode.states), "action": _vectors(episode.actions)}
        columns |= {name: pyarrow.array(values) for name, values in self._scalars(episode).items()}
        if self.masked:
            mask = np.ones_like(episode.actions) if episode.action_mask is None else episode.action_mask
            columns[ACTION_MASK] = _vectors(mask)
        return pyarrow.table(columns)

    def _scalars(self, episode: StoredEpisode) -> dict[str, np.ndarray]:
        """The columns that LeRobot numbers rows with; a new instruction is added to the tasks."""
        length = len(episode)
        task_index = self._tasks.setdefault(episode.instruction, len(self._tasks))
        values = {
            "timestamp": np.arange(length) / self.embodiment.rate_hz,
            "frame_index": np.arange(length),
            "episode_index": np.full(length, self._episodes),
            "index": np.arange(self._frames, self._frames + length),
            "task_index": np.full(length, task_index),
        }
        return {name: values[name].astype(dtype) for name, dtype in SCALARS.items()}

    def _statistics_of(self, episode: StoredEpisode) -> dict[str, Statistics]:
        found = {key: image_statistics(key_frames(self._video(episode, place))) for place, key in enumerate(self.cameras)}
        found |= {"observation.state": statistics_of(episode.states), "action": statistics_of(episode.actions)}
        if self.masked:
            mask = np.ones_like(episode.actions) if episode.action_mask is None else episode.action_mask
            found[ACTION_MASK] = statistics_of(mask)
        return found | {name: statistics_of(values[:, None]) for name, values in self._scalars(episode).items()}

    def _record(
        self, episode: StoredEpisode, statistics: Mapping[str, Statistics], place: tuple[int, int], videos: Mapping[str, VideoPlace]
    ) -> dict:
        """The episode's row in `meta/episodes`. `place`: chunk and number of the file of its rows; `videos`: by key."""
        chunk, number = place
        start, stop = self._frames, self._frames + len(episode)
        rate_hz = self.embodiment.rate_hz
        record = {
            "episode_index": self._episodes,
            "tasks": [episode.instruction],
            "length": len(episode),
            "seed": episode.seed,
            "facts": json.dumps(episode.facts),
            "data/chunk_index": chunk,
            "data/file_index": number,
            "dataset_from_index": start,
            "dataset_to_index": stop,
            "meta/episodes/chunk_index": chunk,
            "meta/episodes/file_index": number,
        }
        for key, video in videos.items():
            bounds = {"from_timestamp": video.first / rate_hz, "to_timestamp": (video.last + 1) / rate_hz}
            record |= {
                f"videos/{key}/{name}": value for name, value in ({"chunk_index": video.chunk, "file_index": video.number} | bounds).items()
            }
        for name, values in statistics.items():
            record |= {f"stats/{name}/{what}": value for what, value in values.as_lerobot(image=name in self.cameras).items()}
        return record

    def _video(self, episode: StoredEpisode, place: int) -> bytes:
        return episode.more_videos[self._names[place]] if place else episode.video


def _vectors(values: np.ndarray) -> pyarrow.Array:
    flat = pyarrow.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
