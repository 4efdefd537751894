"""The one reader of LeRobot datasets: versions 2.0, 2.1 and 3.0 by any writer, for training, inspection and import.

v2.x: one parquet and one mp4 for each episode, `meta/tasks.jsonl`, `meta/episodes.jsonl`. v3.0: many episodes in a file,
`meta/tasks.parquet`, `meta/episodes/`. Rows come in the order of their `frame_index`, whatever their order in the file.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow

from dial_core.datasets.columns import Columns
from dial_core.datasets.episode_rows import PLACE, EpisodeTable, first_timestamp, ordered_rows
from dial_core.datasets.episode_spans import EpisodeSpan, VideoSpan, episode_spans
from dial_core.datasets.image_column import RowImages
from dial_core.datasets.listed_episodes import ListedEpisodes, load_image_means, load_listed_episodes
from dial_core.datasets.meta_files import parquet_files, read_table
from dial_core.datasets.metadata import EpisodeRecord, Feature, load_info, load_tasks
from dial_core.datasets.modality import Modality, load_modality
from dial_core.datasets.stored_views import read_stored_views
from dial_core.datasets.video_rows import RowFrames, one_video, shared_video
from dial_core.errors import DialError
from dial_core.observation.camera_view import StoredView

ACTION_MASK = "action_mask"
CAMERA_PREFIX = "observation.images."


class LeRobotDataset:
    """A LeRobot dataset on disk, read as plain arrays.

    Attributes:
        info: `meta/info.json` as it stands.
        features: its features, validated.
        version: v2.0, v2.1 or v3.0.
        rate_hz: rows for each second [Hz].
    """

    def __init__(self, folder: Path, accept_cut: bool = False) -> None:
        """Opens `folder`.

        Args:
            accept_cut: read a list of episodes that a killed recorder left incomplete as far as it goes; `lost` reports the rest.

        Raises:
            DialError: it is no LeRobot dataset of a version that is read, or its `info.json` is broken.
        """
        self.folder, self._accept_cut = Path(folder), accept_cut
        self._meta, self.info = load_info(self.folder)
        self.version, self.rate_hz = self._meta.codebase_version, self._meta.fps
        self.features: dict[str, Feature] = self._meta.features
        self._newest_table: EpisodeTable | None = None

    @cached_property
    def modality(self) -> Modality:
        """Parts of its vectors, cameras and annotations, by name."""
        return load_modality(self.folder, self.features)

    @cached_property
    def tasks(self) -> dict[int, str]:
        """Instructions (and GR00T's annotation words) by index; empty if the dataset has no list of them."""
        return load_tasks(self.folder)

    @cached_property
    def instructions(self) -> list[str]:
        """All instructions; `EpisodeSpan.task_index` counts in them."""
        listed = [self.tasks[index] for index in sorted(self.tasks)]
        return list(dict.fromkeys([*listed, *(task for record in self._records for task in record.tasks)]))

    @cached_property
    def video_keys(self) -> dict[str, str]:
        """Features that are videos by camera name, in the order of `info.json`."""
        return {name: key for name, key in self.camera_keys.items() if self.features[key].dtype == "video"}

    @cached_property
    def camera_keys(self) -> dict[str, str]:
        """Features that are videos or single images by camera name, in the order of `info.json`."""
        return {camera_name(key): key for key, feature in self.features.items() if feature.dtype in ("video", "image")}

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that are stored as video, the head camera first."""
        return tuple(self.video_keys)

    @cached_property
    def stored_views(self) -> dict[str, StoredView]:
        """How frames were fitted when they were stored, by camera; no entry: the camera's own images."""
        return read_stored_views(self.folder)

    @property
    def lost(self) -> dict[str, str]:
        """Reason by name of the episodes that a cut list of episodes no longer names."""
        return self._list.lost

    @cached_property
    def _list(self) -> ListedEpisodes:
        return load_listed_episodes(self.folder, self._meta, self._accept_cut)

    @property
    def _records(self) -> list[EpisodeRecord]:
        return self._list.records

    @cached_property
    def episodes(self) -> list[EpisodeSpan]:
        """All episodes in the order of their index."""
        return episode_spans(self.folder, self._meta, self._records, self.instructions, self.video_keys)

    @cached_property
    def image_means(self) -> dict[tuple[int, str], np.ndarray]:
        """Mean colour (3,) in [0, 1] of an episode's images by its own statistics, by index and feature; only of those that have any."""
        return load_image_means(self.folder, self.video_keys.values())

    def columns(self, span: EpisodeSpan) -> Columns:
        """The numeric columns of an episode, (T, width) each, rows in order of time.

        Raises:
            DialError: the file is missing or broken, has another number of rows than the metadata say, or rows are missing.
        """
        return Columns(self._ordered(span)[1].drop_columns([PLACE]), self._where(span))

    def row_frames(self, span: EpisodeSpan, camera: str = "") -> RowFrames | RowImages:
        """Which frame of a camera (by default the first one) each row of an episode sees, of videos judged by their own clock.

        Raises:
            DialError: there is no such camera, its video is broken, or video and rows do not belong together.
        """
        camera = camera or self._first_camera
        if camera in self.camera_keys and camera not in self.video_keys:
            file, rows = self._ordered(span)
            return RowImages(self.folder, file, self.camera_keys[camera], rows[PLACE].to_numpy(), self._where(span))
        video, begin_s = self._video(span, camera), first_timestamp(self._ordered(span)[1], self.rate_hz)
        if self.version != "v3.0":
            return one_video(video.path, span.length, self.rate_hz, begin_s)
        together = self._sharing[camera, video.path]
        place = together.index(span)
        bounds_s = [*(other.videos[camera].start_s for other in together), together[-1].videos[camera].end_s]
        return shared_video(video.path, [other.length for other in together], bounds_s, place, self.rate_hz, begin_s)

    def frames(self, span: EpisodeSpan, camera: str = "") -> np.ndarray:
        """All frames of one episode, uint8 (T, H, W, 3); `camera`: by name, the first one if empty."""
        return np.stack(list(self.row_frames(span, camera).frames(range(span.length))))

    def instruction(self, span: EpisodeSpan, columns: Columns, annotation: str | None = None) -> str:
        """The instruction of an episode: by an annotation's column, by `task_index`, or by the episode's first task.

        `annotation`: its name in modality.json; None: the first one that is not about validity.

        Raises:
            DialError: no such annotation, no instruction, or one that changes within the episode.
        """
        notes = self.modality.annotations
        if annotation is not None and annotation not in notes:
            raise DialError(f"{self.folder}: no annotation '{annotation}' in meta/modality.json; there are {', '.join(notes) or 'none'}")
        name = annotation or next((name for name in notes if not name.endswith("validity")), None)
        column = notes[name] if name else "task_index"
        if column in columns:
            said = self.words_of_rows(columns, column)
            if said:
                if column == "task_index":
                    self._require_own_task(span, said)
                return said
        if not span.instruction:
            raise DialError(f"{self.folder}, {span.name}: no instruction, neither in column '{column}' nor among its tasks")
        return span.instruction

    def words_of_rows(self, columns: Columns, column: str = "task_index") -> str | None:
        """What a column of indices into `tasks` says in all rows of an episode; None if it says nothing.

        Raises:
            DialError: it changes within the episode.
        """
        indices = dict.fromkeys(columns[column][:, 0].tolist())
        said = list(dict.fromkeys(self._task(index) for index in indices))
        if len(said) > 1:
            frame = int(np.flatnonzero(np.diff(columns[column][:, 0]))[0]) + 1
            raise DialError(
                f"its instruction changes in frame {frame} from '{said[0]}' to '{said[1]}'; split it there, or give one for all"
            )
        return said[0] if said else None

    def _require_own_task(self, span: EpisodeSpan, said: str) -> None:
        """Refuses an episode whose rows name another task of the dataset than its metadata: merged without counting its tasks again."""
        own = [task.strip() for task in span.tasks]
        if said.strip() not in own and any(task.strip() in own for task in self.tasks.values()):
            raise DialError(
                f"{self._where(span)}: task_index of its rows means '{said}', its metadata say '{span.instruction}'; "
                "were datasets merged without counting their tasks again?"
            )

    def invalid(self, columns: Columns) -> bool:
        """Whether GR00T's annotation `human.validity` calls the episode anything but valid."""
        column = next((column for name, column in self.modality.annotations.items() if name.endswith("validity")), "")
        return column in columns and (self._task(columns[column][0, 0]) or "valid") != "valid"

    def _task(self, index: float) -> str | None:
        """The words of a row's index; None if it is none, or not in the list."""
        return self.tasks.get(int(index)) if math.isfinite(index) else None

    @cached_property
    def states(self) -> np.ndarray:
        """States of all episodes one after the other, float32 (F, S) [m, rad]."""
        return self._all("observation.state")

    @cached_property
    def actions(self) -> np.ndarray:
        """Actions of all episodes, absolute targets, float32 (F, A) [m, rad]."""
        return self._all("action")

    @cached_property
    def action_mask(self) -> np.ndarray | None:
        """1 where an action counts, float32 (F, A); None: everywhere."""
        return self._all(ACTION_MASK) if ACTION_MASK in self.features else None

    def _all(self, name: str) -> np.ndarray:
        """A column of all episodes, float32 (F, width)."""
        parts = [self.columns(span)[name].astype(np.float32) for span in self.episodes]
        if len({part.shape[1] for part in parts}) > 1:
            raise DialError(
                f"{self.folder}: {name} has {', '.join(sorted({str(part.shape[1]) for part in parts}))} values in different episodes"
            )
        return np.concatenate(parts)

    @property
    def _first_camera(self) -> str:
        if not self.camera_keys:
            raise DialError(f"{self.folder} has no camera; features: {', '.join(self.features)}")
        return next(iter(self.camera_keys))

    def _video(self, span: EpisodeSpan, camera: str) -> VideoSpan:
        if camera in span.videos:
            return span.videos[camera]
        if camera not in self.video_keys:
            raise DialError(f"{self.folder} has no camera '{camera}'; cameras: {', '.join(self.camera_keys) or 'none'}")
        column = f"videos/{self.video_keys[camera]}"
        raise DialError(
            f"{self.folder}/meta/episodes: {span.name} lacks '{column}/chunk_index', '{column}/file_index' or its from_timestamp"
        )

    @cached_property
    def _sharing(self) -> dict[tuple[str, Path], list[EpisodeSpan]]:
        """Episodes by camera and file, in the order in which they lie in it."""
        found: dict[tuple[str, Path], list[EpisodeSpan]] = {}
        for span in self.episodes:
            for camera, video in span.videos.items():
                found.setdefault((camera, video.path), []).append(span)
        return {place: sorted(spans, key=lambda span: span.videos[place[0]].start_s) for place, spans in found.items()}

    def _ordered(self, span: EpisodeSpan) -> tuple[Path, pyarrow.Table]:
        """The file of an episode's rows, and the rows in order of time. Raises DialError as `columns`."""
        table, where = self._table_of(span), self._where(span)
        rows = table.of(span.index, alone=self.version != "v3.0")
        if len(rows) != span.length:
            raise DialError(f"{where}: {len(rows)} rows, its metadata say {span.length}; convert or copy the dataset again")
        return table.file, ordered_rows(rows, self.rate_hz, where)

    def _table_of(self, span: EpisodeSpan) -> EpisodeTable:
        """The table of an episode: of its file, or of whichever file has its rows if its metadata name the wrong one."""
        named = self._table(span.table)
        if self.version != "v3.0" or len(named.of(span.index)):
            return named
        for path in parquet_files(self.folder / "data"):
            indices = read_table(path, lambda field: field.name == "episode_index")["episode_index"].to_numpy()
            if (indices == span.index).any():
                return self._table(path)
        return named

    def _table(self, path: Path) -> EpisodeTable:
        # Hundreds of episodes of v3.0 share a file: the newest one is kept.
        if self._newest_table is None or self._newest_table.file != path:
            self._newest_table = EpisodeTable(path)
        return self._newest_table

    def _where(self, span: EpisodeSpan) -> str:
        return f"{self.folder}, {span.name}"


def camera_key(name: str) -> str:
    """Name of a camera's video in our own datasets."""
    return f"{CAMERA_PREFIX}{name}"


def camera_name(key: str) -> str:
    """Name of the camera of a video: its feature's key without LeRobot's usual prefix."""
    return key.removeprefix(CAMERA_PREFIX)
