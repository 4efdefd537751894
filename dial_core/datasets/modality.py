"""GR00T's `meta/modality.json`: which slice of which column is which part of the robot, and where its cameras and words are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from dial_core.datasets.meta_files import read_json
from dial_core.datasets.metadata import Feature, ForeignRecord, validated
from dial_core.errors import DialError
from dial_core.finiteness import DROP_EPISODE, require_finite
from dial_core.robot.rotations import width_of

STATE, ACTION = "observation.state", "action"


@dataclass(frozen=True)
class VectorPart:
    """Dimensions `start` .. `end - 1` of a column.

    Attributes:
        absolute: whether an action is a target; otherwise it is a step to add to the state.
        rotation: `rotation_type`, or None.
    """

    name: str
    column: str
    start: int
    end: int
    absolute: bool = True
    rotation: str | None = None

    def of(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(T, end - start) of an episode's columns.

        Raises:
            DialError: the column is narrower than the metadata say, or a value is not finite.
        """
        values = columns[self.column]
        if values.shape[1] < self.end:
            raise DialError(
                f"part '{self.name}' is dimensions {self.start} to {self.end} of '{self.column}', whose rows have {values.shape[1]}"
            )
        require_finite(values[:, self.start : self.end], f"part '{self.name}' of '{self.column}'", advice=DROP_EPISODE)
        return values[:, self.start : self.end]


@dataclass(frozen=True)
class Modality:
    """Parts of state and action, video keys and annotation columns, by the names that GR00T gives them.

    `faults`: by column, why its dimensions have no names: the column is missing, or `info.json` does not name each of them.
    """

    state: dict[str, VectorPart]
    action: dict[str, VectorPart]
    videos: dict[str, str]
    annotations: dict[str, str]
    faults: dict[str, str] = field(default_factory=dict)


class _PartRecord(ForeignRecord):
    start: int = Field(ge=0)
    end: int = Field(gt=0)
    original_key: str | None = None
    absolute: bool = True
    rotation_type: str | None = None


class _ColumnRecord(ForeignRecord):
    original_key: str | None = None


def _as_record(value: Any) -> Any:
    """Older files have the column's name itself instead of `{"original_key": ...}`."""
    return {"original_key": value} if isinstance(value, str) else {} if value is None else value


_Named = dict[str, Annotated[_ColumnRecord, BeforeValidator(_as_record)]]


class _ModalityRecord(ForeignRecord):
    state: dict[str, _PartRecord] = {}
    action: dict[str, _PartRecord] = {}
    video: _Named = {}
    annotation: _Named = {}


def load_modality(folder: Path, features: Mapping[str, Feature]) -> Modality:
    """The dataset's `meta/modality.json`; without one, every named dimension of state and action is a part of its own.

    Raises:
        DialError: the file is broken, or a part names a column that is not there, or dimensions that it does not have.
    """
    file = folder / "meta/modality.json"
    cameras = [key for key, feature in features.items() if feature.dtype in ("video", "image")]
    if not file.exists():
        state, action = (_named_dimensions(features, column) for column in (STATE, ACTION))
        faults = {column: _unnamed(folder, features, column) for column in (STATE, ACTION)}
        found = {column: fault for column, fault in faults.items() if fault}
        return Modality(state, action, _camera_names(cameras), {}, found)
    record = validated(_ModalityRecord, read_json(file), str(file))
    state = {name: _part(file, name, entry, STATE, features) for name, entry in record.state.items()}
    action = {name: _part(file, name, entry, ACTION, features) for name, entry in record.action.items()}
    videos = {name: entry.original_key or f"observation.images.{name}" for name, entry in record.video.items()} or _camera_names(cameras)
    if missing := sorted(set(videos.values()) - set(cameras)):
        raise DialError(f"{file}: video {', '.join(missing)} is not among the features; there are {', '.join(cameras) or 'none'}")
    return Modality(state, action, videos, {name: entry.original_key or f"annotation.{name}" for name, entry in record.annotation.items()})


def _camera_names(keys: Sequence[str]) -> dict[str, str]:
    """Keys of cameras by their last word (`observation.images.top`), or by more of the key where several end alike."""
    last = [key.split(".")[-1] for key in keys]
    return {key.removeprefix("observation.images.") if last.count(word) > 1 else word: key for word, key in zip(last, keys, strict=True)}


def _part(file: Path, name: str, entry: _PartRecord, default_column: str, features: Mapping[str, Feature]) -> VectorPart:
    column = entry.original_key or default_column
    if column not in features:
        raise DialError(f"{file}: part '{name}' is in column '{column}', which the dataset does not have; it has {', '.join(features)}")
    width = features[column].width
    if not entry.start < entry.end <= width:
        raise DialError(f"{file}: part '{name}' is dimensions {entry.start} to {entry.end} of '{column}', which has {width}")
    rotation, size = entry.rotation_type, entry.end - entry.start
    try:
        width = size if rotation is None else width_of(rotation)
    except DialError as error:
        raise DialError(f"{file}: part '{name}': {error}") from error
    if size != width:
        raise DialError(f"{file}: part '{name}' has {size} dimensions, a {rotation} has {width}")
    return VectorPart(name, column, entry.start, entry.end, entry.absolute, rotation)


def _named_dimensions(features: Mapping[str, Feature], column: str) -> dict[str, VectorPart]:
    """Every dimension with a name of its own; LeRobot writes `elbow.pos` for the position of `elbow`.

    Without a name for each dimension, none of them says which dimension it is of.
    """
    if column in features and len(features[column].flat_names) != features[column].width:
        return {}
    names = [name.removesuffix(".pos") for name in features[column].flat_names] if column in features else []
    return {name: VectorPart(name, column, index, index + 1) for index, name in enumerate(names) if names.count(name) == 1}


def _unnamed(folder: Path, features: Mapping[str, Feature], column: str) -> str:
    """Why a column's dimensions are not known by name; empty if they are, or if it has no names at all."""
    if column not in features:
        word = column.split(".")[-1]
        alike = [name for name in features if word in name]
        there = f"; there are {', '.join(alike)}, which meta/modality.json can put together (`original_key`)" if alike else ""
        return f"{folder} has no column '{column}'" + there + ("; --actions next takes the next states" if column == ACTION else "")
    names, width = features[column].flat_names, features[column].width
    if len(names) in (0, width):
        return ""
    return f"{folder}/meta/info.json: key 'features.{column}.names' has {len(names)} names for {width} dimensions; name each of them"
