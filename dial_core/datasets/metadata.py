"""The `meta/` files of LeRobot datasets by any writer, validated once: versions 2.0, 2.1 and 3.0 give the same objects.

Every error is one line that names the file, and the key where there is one. What a writer may leave out and readers can do without
(a task list whose words stand in the episodes, `chunks_size`, path templates) has a default.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pyarrow
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dial_core.datasets.meta_files import read_json, read_json_lines, read_table
from dial_core.errors import DialError

VERSIONS = ("v2.0", "v2.1", "v3.0")
_PATHS_V2 = (
    "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
    "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
)
_PATHS_V3 = (
    "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
)


class ForeignRecord(BaseModel):
    """Base of records that other programs wrote: unknown keys are kept, known ones are checked."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Feature(ForeignRecord):
    """One entry of `features`: what a column or a video holds."""

    dtype: str
    shape: tuple[int, ...] = ()
    names: Any = None

    @property
    def flat_names(self) -> tuple[str, ...]:
        """Names of the dimensions in order, however they are nested: [..], [[..]], {"motors": [..]}, {"x": 0, "y": 1}."""
        return tuple(_flat_names(self.names))

    @property
    def is_depth(self) -> bool:
        """Whether a camera's frames are distances, by either of LeRobot's marks."""
        info = (self.model_extra or {}).get("info") or (self.model_extra or {}).get("video_info")
        marks = info if isinstance(info, dict) else {}
        return bool(marks.get("video.is_depth_map") or marks.get("is_depth_map")) or self.dtype == "depth"

    @property
    def width(self) -> int:
        """Number of values of one row."""
        width = 1
        for size in self.shape:
            width *= size
        return width

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width [px] of a camera's frames, whether the shape ends or begins with the channels; 0, 0 if it has neither."""
        if len(self.shape) != 3:
            return (0, 0)
        channels_first = self.shape[0] in (1, 3, 4) and self.shape[2] not in (1, 3, 4)
        return (self.shape[1], self.shape[2]) if channels_first else (self.shape[0], self.shape[1])


def _version(value: Any) -> Any:
    """`v2.1.0`, `2.1` and `v2.1` are the same."""
    words = str(value).removeprefix("v").split(".")
    return "v" + ".".join(words[:2]) if all(word.isdigit() for word in words) else value


class Info(ForeignRecord):
    """`meta/info.json`."""

    codebase_version: Annotated[str, BeforeValidator(_version)]
    fps: float = Field(gt=0, allow_inf_nan=False)
    features: dict[str, Feature]
    data_path: str
    video_path: str
    chunks_size: int = Field(default=1000, gt=0)
    robot_type: str | None = None
    total_episodes: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_default_paths(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        data, video = _PATHS_V3 if str(values.get("codebase_version", "")).removeprefix("v").startswith("3") else _PATHS_V2
        return values | {"data_path": values.get("data_path") or data, "video_path": values.get("video_path") or video}


def _texts(value: Any) -> Any:
    """A single task may stand where a list of tasks belongs; none may be null."""
    return () if value is None else (value,) if isinstance(value, str) else value


class EpisodeRecord(ForeignRecord):
    """One row of `meta/episodes.jsonl` or `meta/episodes/`. The columns that say where its video lies are in `model_extra`."""

    episode_index: int = Field(ge=0)
    length: int = Field(ge=1)
    tasks: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()


class TaskRecord(ForeignRecord):
    """One row of the list of instructions."""

    task_index: int
    task: str


R = TypeVar("R", bound=ForeignRecord)


def load_info(folder: Path) -> tuple[Info, dict]:
    """`meta/info.json` of a dataset, validated and as it stands.

    Raises:
        DialError: it is missing, broken, or of a version that is not read; the message names the key.
    """
    file = folder / "meta/info.json"
    if not file.is_file():
        raise DialError(f"{folder} is not a LeRobot dataset: {file} is missing; {_where_instead(folder)}")
    values = read_json(file)
    info = validated(Info, values, str(file))
    if info.codebase_version not in VERSIONS:
        raise DialError(f"{folder} has LeRobot version {info.codebase_version}; versions read: {', '.join(VERSIONS)}")
    return info, values


def load_tasks(folder: Path) -> dict[int, str]:
    """Instructions by index from `meta/tasks.parquet` or `meta/tasks.jsonl`; empty if the dataset has neither."""
    table, lines = folder / "meta/tasks.parquet", folder / "meta/tasks.jsonl"
    if table.is_file():
        rows = _task_rows(table)
    elif lines.is_file():
        rows = read_json_lines(lines)
    else:
        return {}
    file = table if table.is_file() else lines
    tasks: dict[int, str] = {}
    for number, row in enumerate(rows):
        task = validated(TaskRecord, row, f"{file}, row {number}")
        if tasks.setdefault(task.task_index, task.task) != task.task:
            told = f"'{tasks[task.task_index]}' and '{task.task}'"
            raise DialError(f"{file}, row {number}: key 'task_index': {task.task_index} stands for two instructions, {told}")
    return tasks


def validated(schema: type[R], values: Any, source: str) -> R:
    """`values` as a `schema`, or a DialError in one line that names `source` and the key."""
    if not isinstance(values, Mapping):
        raise DialError(f"{source} must hold keys and values, found {_shown(values)}")
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors()[:3]:
            key = ".".join(str(part) for part in problem["loc"])
            missing = problem["type"] == "missing"
            problems.append(f"key '{key}' is missing" if missing else f"key '{key}': {problem['msg']} (got {_shown(problem['input'])})")
        raise DialError(f"{source}: {'; '.join(problems)}") from error


def _where_instead(folder: Path) -> str:
    """What to do where a folder has no meta/info.json."""
    if (folder / "meta_data/info.json").is_file():
        return "it is of LeRobot v1, which LeRobot itself converts (convert_dataset_v1_to_v2.py)"
    below = [path for pattern in ("*", "*/*", "*/*/*") for path in sorted(folder.glob(f"{pattern}/meta/info.json"))]
    found = ", ".join(str(path.parents[1]) for path in below[:3]) + (f" and {len(below) - 3} more" if len(below) > 3 else "")
    return f"name the dataset itself: {found}" if found else "name the folder that has meta/, data/ and videos/"


def _task_rows(file: Path) -> list[dict]:
    """Rows of `tasks.parquet`. The words are the index of a pandas table, under whatever name its writer's index had."""
    table = read_table(file)
    words = [name for name in table.column_names if _is_text(table.schema.field(name).type)]
    chosen = next((name for name in ("task", "__index_level_0__") if name in words), words[0] if words else None)
    if chosen is None or "task_index" not in table.column_names:
        raise DialError(f"{file} must have columns 'task_index' and 'task'; it has {', '.join(table.column_names) or 'none'}")
    return [{"task_index": row["task_index"], "task": row[chosen]} for row in table.select(["task_index", chosen]).to_pylist()]


def _is_text(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind)


def _flat_names(names: Any) -> Iterator[str]:
    if isinstance(names, Mapping):
        if names and all(isinstance(value, int) for value in names.values()):
            yield from sorted((str(name) for name in names), key=lambda name: names[name])
        else:
            for value in names.values():
                yield from _flat_names(value)
    elif isinstance(names, (list, tuple)):
        for value in names:
            yield from _flat_names(value)
    elif names is not None:
        yield str(names)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
