"""EgoDex recordings: `N.hdf5` (ARKit poses of camera and hands, confidences, words) beside `N.mp4` (30 Hz)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dial_core.errors import DialError
from dial_core.files.folders import folders_below
from dial_core.files.integrity import require_content
from dial_core.importers.egodex.global_heaps import require_sound_heaps
from dial_core.robot.rotations import matrices

RATE_HZ = 30.0
FARTHEST_WRIST_M = 2.0  # from the head, whatever the person's size
_RIGID_ENOUGH = 0.1  # of any entry of R^T R from the identity: float32 noise and 2 % of scale pass, zeros do not
_ROUNDING = 1e-3  # of confidences
_CAMERA, _HANDS = "transforms/camera", ("leftHand", "rightHand")


@dataclass(frozen=True)
class EgoDexEpisode:
    """F frames of one person.

    Attributes:
        camera: T_world_camera (F, 4, 4).
        wrists: T_world_wrist of left and right, (2, F, 4, 4).
        confidence: of each wrist's pose in [0, 1], (F, 2); 1 where the file has none and the pose is rigid, 0 where it is not.
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
    """All `*.hdf5` in or below the sources, in order of task and number; not those that macOS leaves beside them (`._0.hdf5`).

    Raises:
        DialError: a source has none.
    """
    found: list[Path] = []
    for source in sources:
        files = [source] if source.is_file() else [file for folder in folders_below(source) for file in _files_in(folder)]
        if not files:
            raise DialError(f"{source} holds no EgoDex recording (N.hdf5 beside N.mp4); name the folder of a part or a task")
        found += sorted(files, key=lambda file: (str(file.parent), int(file.stem) if file.stem.isdigit() else -1, file.stem))
    return list(dict.fromkeys(found))


def _files_in(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*.hdf5") if file.is_file() and not file.name.startswith(".")]


def read_recording(file: Path) -> EgoDexEpisode:
    """The poses and words of one recording.

    Rotations that are not quite orthonormal are made so; poses that are no rigid transform at all (zeros, NaN) have confidence 0.

    Raises:
        DialError: the file is broken, lacks the camera's or a hand's poses, or its first frame has no camera pose.
    """
    require_sound_heaps(file)
    try:
        with h5py.File(file, "r", locking=False) as recording:  # network file systems refuse locks
            names = (_CAMERA, *(f"transforms/{hand}" for hand in _HANDS))
            if missing := [name for name in names if name not in recording]:
                raise DialError(f"{file.name} has no {', '.join(missing)}")
            camera, *wrists = (_poses(recording, name, file) for name in names)
            if len({len(poses) for poses in (camera, *wrists)}) > 1:
                raise DialError(f"{file.name}: {', '.join(names)} have {len(camera)}, {len(wrists[0])} and {len(wrists[1])} frames")
            confidence = [_confidence(recording, hand, len(camera), file) for hand in _HANDS]
            words = instruction_of(recording.attrs, file.parent.name)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:  # h5py: whichever, for damaged files
        require_content(file)
        raise DialError(f"{file.name} cannot be read: {error}; is it complete?") from error
    camera, usable = rigid(camera)
    if not len(camera) or not usable[0]:
        raise DialError(f"{file.name}: the first frame has no camera pose, in whose frame the wrists are expressed")
    found = [rigid(poses) for poses in wrists]
    near = [usable & within_reach(poses, camera) for poses, usable in found]
    sure = np.stack([given * there for given, there in zip(confidence, near, strict=True)], 1)
    if not np.any(near) and any(usable.any() for _, usable in found):
        raise DialError(f"{file.name}: no wrist is within {FARTHEST_WRIST_M:g} m of the camera; positions are in metres")
    return EgoDexEpisode(camera, np.stack([poses for poses, _ in found]), sure, words, file.parent.name)


def within_reach(wrist: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Whether each wrist pose (F, 4, 4) is where an arm can have it, bool (F,): tracking that is lost throws hands across the room."""
    return np.linalg.norm(wrist[:, :3, 3] - camera[:, :3, 3], axis=1) < FARTHEST_WRIST_M


def rigid(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (F, 4, 4) with their rotations made orthonormal, and which of them were rigid transforms to begin with, bool (F,).

    Those that were not become the identity.
    """
    rotations = poses[:, :3, :3]
    finite = np.isfinite(poses).all((1, 2))
    square = np.where(finite[:, None, None], np.swapaxes(rotations, 1, 2) @ rotations, 0.0)
    usable = finite & (np.abs(square - np.eye(3)).max((1, 2)) < _RIGID_ENOUGH) & (np.linalg.det(np.nan_to_num(rotations)) > 0)
    usable &= np.abs(np.nan_to_num(poses[:, 3]) - [0, 0, 0, 1]).max(1) < _RIGID_ENOUGH  # not transposed
    result = np.tile(np.eye(4), (len(poses), 1, 1))
    if usable.any():
        result[usable, :3, 3] = poses[usable, :3, 3]
        result[usable, :3, :3] = matrices(rotations[usable].reshape(-1, 9), "matrix")
    return result, usable


def instruction_of(attributes: Mapping[str, Any], task: str) -> str:
    """What the person did: `llm_description`, or of a reversible task the one that `which_llm_description` names.

    Recordings of older annotators have `description`; without any, the task's name in words.
    """
    which = _text(attributes.get("which_llm_description", "1")).strip().removesuffix(".0")
    second = _text(attributes.get("llm_type", "reversible")) == "reversible" and which == "2"
    for key in ("llm_description2" if second else "llm_description", "description"):
        if words := _text(attributes.get(key, "")).strip():
            return words
    return task.replace("_", " ")


def _poses(recording: h5py.File, name: str, file: Path) -> np.ndarray:
    poses = np.asarray(recording[name], np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise DialError(f"{file.name}: {name} must be (frames, 4, 4), got {poses.shape}")
    return poses


def _confidence(recording: h5py.File, hand: str, frames: int, file: Path) -> np.ndarray:
    """Confidences (F,) of a hand, stored as (F,), (F, 1) or one for all; 1 where the file has none, 0 where they are NaN."""
    name = f"confidences/{hand}"
    if name not in recording:
        return np.ones(frames)
    values = np.nan_to_num(np.asarray(recording[name], np.float64)).reshape(-1)
    if len(values) not in (1, frames):
        raise DialError(f"{file.name}: {name} has {len(values)} values for {frames} frames")
    if values.max(initial=0.0) > 1.0 + _ROUNDING:
        raise DialError(f"{file.name}: {name} reaches {values.max():g}; confidences lie between 0 and 1")
    return np.broadcast_to(values, (frames,))


def _text(value: Any) -> str:
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else ""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value)
