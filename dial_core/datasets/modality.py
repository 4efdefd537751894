"""GR00T's `meta/modality.json`: which slice of which column is which part of the robot, and where its cameras and words are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dial_core.errors import DialError
from dial_core.robot.rotations import width_of

STATE, ACTION = "observation.state", "action"


@dataclass(frozen=True)
class Part:
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
        """(T, end - start) of an episode's columns."""
        return columns[self.column][:, self.start : self.end]


@dataclass(frozen=True)
class Modality:
    """Parts of state and action, video keys and annotation columns, by the names that GR00T gives them."""

    state: dict[str, Part]
    action: dict[str, Part]
    videos: dict[str, str]
    annotations: dict[str, str]


def load_modality(folder: Path, features: Mapping[str, dict]) -> Modality:
    """The dataset's `meta/modality.json`; without one, every named dimension of state and action is a part of its own.

    Raises:
        DialError: a part names a column that is not there, or dimensions that it does not have.
    """
    file = folder / "meta/modality.json"
    videos = [key for key in features if features[key].get("dtype") in ("video", "image")]
    if not file.exists():
        return Modality(
            _named_dimensions(features, STATE), _named_dimensions(features, ACTION), {key.split(".")[-1]: key for key in videos}, {}
        )
    try:
        content = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise DialError(f"{file} cannot be read: {error}") from error
    state = {name: _part(file, name, entry, STATE, features) for name, entry in content.get("state", {}).items()}
    action = {name: _part(file, name, entry, ACTION, features) for name, entry in content.get("action", {}).items()}
    named = {name: entry.get("original_key", f"observation.images.{name}") for name, entry in content.get("video", {}).items()}
    if missing := sorted(set(named.values()) - set(videos)):
        raise DialError(f"{file}: video {', '.join(missing)} is not among the features; there are {', '.join(videos) or 'none'}")
    notes = {name: entry.get("original_key", f"annotation.{name}") for name, entry in content.get("annotation", {}).items()}
    return Modality(state, action, named, notes)


def _part(file: Path, name: str, entry: dict, default_column: str, features: Mapping[str, dict]) -> Part:
    column = entry.get("original_key", default_column)
    if column not in features:
        raise DialError(f"{file}: part '{name}' is in column '{column}', which the dataset does not have; it has {', '.join(features)}")
    try:
        start, end = int(entry["start"]), int(entry["end"])
    except KeyError as error:
        raise DialError(f"{file}: part '{name}' has no {error}") from error
    width = int(np.prod(features[column]["shape"]))
    if not 0 <= start < end <= width:
        raise DialError(f"{file}: part '{name}' is dimensions {start} to {end} of '{column}', which has {width}")
    rotation = entry.get("rotation_type")
    if rotation is not None and end - start != width_of(rotation):
        raise DialError(f"{file}: part '{name}' has {end - start} dimensions, a {rotation} has {width_of(rotation)}")
    return Part(name, column, start, end, bool(entry.get("absolute", True)), rotation)


def _named_dimensions(features: Mapping[str, dict], column: str) -> dict[str, Part]:
    names = features.get(column, {}).get("names") or []
    # LeRobot's own recordings write {"motors": [...]}.
    if isinstance(names, dict):
        names = [name for group in names.values() for name in group]
    return {str(name): Part(str(name), column, index, index + 1) for index, name in enumerate(names)}
