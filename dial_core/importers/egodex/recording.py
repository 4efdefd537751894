"""EgoDex recordings: `N.hdf5` (ARKit poses of camera and hands, confidences, words) beside `N.mp4` (30 Hz)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dial_core.errors import DialError

RATE_HZ = 30.0
_CAMERA, _HANDS = "transforms/camera", ("leftHand", "rightHand")


@dataclass(frozen=True)
class EgoDexEpisode:
    """F frames of one person.

    Attributes:
        camera: T_world_camera (F, 4, 4).
        wrists: T_world_wrist of left and right, (2, F, 4, 4).
        confidence: of each wrist's pose in [0, 1], (F, 2); 1 where the file has none and the pose is finite, 0 where it is not.
        instruction: what the person did.
        task: name of the folder of recordings.
    """

    camera: np.ndarray
    wrists: np.ndarray
    confidence: np.ndarray
    instruction: str
    task: str

    def __len__(self) -> int:
        return len(self.camera)


def find_recordings(sources: Sequence[Path]) -> list[Path]:
    """All `*.hdf5` in or below the sources, in order of task and number.

    Raises:
        DialError: a source has none.
    """
    found: list[Path] = []
    for source in sources:
        files = [source] if source.suffix == ".hdf5" else list(source.rglob("*.hdf5"))
        if not files:
            raise DialError(f"{source} holds no EgoDex recording (N.hdf5 beside N.mp4); name the folder of a part or a task")
        found += sorted(files, key=lambda file: (str(file.parent), int(file.stem) if file.stem.isdigit() else -1, file.stem))
    return list(dict.fromkeys(found))


def read_recording(file: Path) -> EgoDexEpisode:
    """The poses and words of one recording.

    Raises:
        DialError: the file is broken, or lacks the camera's or a hand's poses.
    """
    try:
        with h5py.File(file, "r") as recording:
            names = (_CAMERA, *(f"transforms/{hand}" for hand in _HANDS))
            if missing := [name for name in names if name not in recording]:
                raise DialError(f"{file.name} has no {', '.join(missing)}")
            camera, *wrists = (np.asarray(recording[name], np.float64) for name in names)
            confidence = [_confidence(recording, hand, wrist) for hand, wrist in zip(_HANDS, wrists, strict=True)]
            words = instruction_of(recording.attrs, file.parent.name)
    except OSError as error:
        raise DialError(f"{file.name} cannot be read: {error}") from error
    shapes = {name: values.shape for name, values in zip(names, (camera, *wrists), strict=True)}
    if any(shape != (len(camera), 4, 4) for shape in shapes.values()):
        raise DialError(f"{file.name}: poses must all be (frames, 4, 4), got {shapes}")
    if not len(camera) or not np.isfinite(camera[0]).all():
        raise DialError(f"{file.name}: the first frame has no camera pose, so nothing can be told in its frame")
    return EgoDexEpisode(camera, np.stack(wrists), np.stack(confidence, 1), words, file.parent.name)


def instruction_of(attributes: Mapping[str, Any], task: str) -> str:
    """What the person did: `llm_description`, or of a reversible task the one that `which_llm_description` names.

    Recordings of older annotators have `description`; without any, the task's name in words.
    """
    which = _text(attributes.get("which_llm_description", "1"))
    second = _text(attributes.get("llm_type", "")) == "reversible" and which == "2"
    for key in ("llm_description2" if second else "llm_description", "description"):
        if words := _text(attributes.get(key, "")).strip():
            return words
    return task.replace("_", " ")


def _confidence(recording: h5py.File, hand: str, wrist: np.ndarray) -> np.ndarray:
    finite = np.isfinite(wrist).all((1, 2)).astype(np.float64)
    name = f"confidences/{hand}"
    if name not in recording:
        return finite
    return np.nan_to_num(np.asarray(recording[name], np.float64)) * finite


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else ""
    return value.decode() if isinstance(value, bytes) else str(value)
