"""Where the episodes of a dataset lie: rows, parquet file and videos of each, from its validated metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dial_core.datasets.metadata import EpisodeRecord, Info
from dial_core.errors import DialError


@dataclass(frozen=True)
class VideoSpan:
    """Where an episode lies in a video: from `start_s` [s] on, which is frame `first` if the video runs at the dataset's rate.

    `end_s`: where it ends [s], infinity if the metadata do not say it.
    """

    path: Path
    start_s: float = 0.0
    first: int = 0
    end_s: float = math.inf


@dataclass(frozen=True)
class EpisodeSpan:
    """Where one episode lies.

    Attributes:
        index: as the dataset numbers it.
        first, length: its rows `first` .. `first + length - 1` of `LeRobotDataset.states` and `actions`.
        tasks: its instructions, by its own metadata.
        task_index: of the first one in `LeRobotDataset.instructions`; -1 if it has none.
        table: the parquet file of its rows.
        videos: by camera name, the first camera first; without those that the metadata do not place.
        seed, facts: what our own writers keep of a demonstration; 0 and empty in other datasets.
    """

    index: int
    first: int
    length: int
    tasks: tuple[str, ...]
    task_index: int
    table: Path
    videos: dict[str, VideoSpan]
    seed: int = 0
    facts: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What errors and reports call it."""
        return f"episode {self.index}"

    @property
    def instruction(self) -> str:
        """Its first instruction; empty if its metadata have none."""
        return self.tasks[0] if self.tasks else ""

    @property
    def video(self) -> Path:
        """The head camera's file."""
        return next(iter(self.videos.values())).path


def episode_spans(
    folder: Path, info: Info, records: Sequence[EpisodeRecord], instructions: Sequence[str], video_keys: Mapping[str, str]
) -> list[EpisodeSpan]:
    """The episodes of `records`, one after the other.

    Args:
        instructions: of the dataset; `EpisodeSpan.task_index` counts in them.
        video_keys: features that are videos, by camera name.

    Raises:
        DialError: the metadata do not say in which file an episode's rows lie, or a path template cannot be filled in.
    """
    places = {text: place for place, text in enumerate(instructions)}
    spans: list[EpisodeSpan] = []
    for record in records:
        extra = record.model_extra or {}
        found = {name: _video(folder, info, record, key) for name, key in video_keys.items()}
        spans.append(
            EpisodeSpan(
                index=record.episode_index,
                first=spans[-1].first + spans[-1].length if spans else 0,
                length=record.length,
                tasks=record.tasks,
                task_index=places[record.tasks[0]] if record.tasks else -1,
                table=_table(folder, info, record),
                videos={name: video for name, video in found.items() if video is not None},
                seed=_whole(extra.get("seed")) or 0,  # another program may mean something else by it
                facts=_facts(extra.get("facts")),
            )
        )
    return spans


def _table(folder: Path, info: Info, record: EpisodeRecord) -> Path:
    if info.codebase_version != "v3.0":
        return _path(folder, info, "data_path", _place_v2(info, record))
    extra = record.model_extra or {}
    place = {name: _whole(extra.get(f"data/{name}")) for name in ("chunk_index", "file_index")}
    if missing := [name for name, value in place.items() if value is None]:
        raise DialError(f"{folder}/meta/episodes: episode {record.episode_index} has no 'data/{missing[0]}', the file of its rows")
    return _path(folder, info, "data_path", place)


def _video(folder: Path, info: Info, record: EpisodeRecord, key: str) -> VideoSpan | None:
    """Where the video `key` of an episode lies; None if the metadata do not say."""
    if info.codebase_version != "v3.0":
        return VideoSpan(_path(folder, info, "video_path", {"video_key": key, **_place_v2(info, record)}))
    extra = record.model_extra or {}
    chunk, file = (_whole(extra.get(f"videos/{key}/{name}")) for name in ("chunk_index", "file_index"))
    start_s, end_s = (_seconds(extra.get(f"videos/{key}/{name}_timestamp")) for name in ("from", "to"))
    if chunk is None or file is None or start_s is None:
        return None
    path = _path(folder, info, "video_path", {"video_key": key, "chunk_index": chunk, "file_index": file})
    return VideoSpan(path, start_s, round(start_s * info.fps), math.inf if end_s is None else end_s)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _whole(value: object) -> int | None:
    """A whole number, which pandas makes a float of where another row has none; None if it is none."""
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) and value == int(value) else None


def _place_v2(info: Info, record: EpisodeRecord) -> dict[str, int]:
    return {"episode_chunk": record.episode_index // info.chunks_size, "episode_index": record.episode_index}


def _path(folder: Path, info: Info, template: str, place: Mapping) -> Path:
    text = getattr(info, template)
    try:
        return folder / text.format(**place).replace("\\", "/")  # as Windows writes paths
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise DialError(
            f"{folder}/meta/info.json: key '{template}' is '{text}'; it may name {', '.join(place)} and nothing else ({error})"
        ) from error


def _facts(text: object) -> dict:
    """Facts of our own writers; another program's column of that name counts for nothing."""
    try:
        facts = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        facts = {}
    return facts if isinstance(facts, dict) else {}
