"""One demonstration in memory, and as a file that is complete or absent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dial_core.datasets.video import encode
from dial_core.files.atomic import atomic_write

_VIDEO_OF = "video_of_"  # a further camera's video in the file


@dataclass(frozen=True)
class Episode:
    """Frames, states and actions of T control steps.

    Attributes:
        frames: uint8 (T, H, W, 3), `frames[t]` seen at t.
        states: float32 (T, 47), measured at t.
        actions: float32 (T, 47), the absolute target to be reached at t + 1 step.
        instruction: what the robot was asked to do.
        seed: of the scene.
        facts: further JSON values (named object, number of objects).
    """

    frames: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    instruction: str
    seed: int
    facts: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class StoredEpisode:
    """An episode as it is stored: frames encoded (`video`, mp4 bytes; `more_videos` those of further cameras, by name).

    `action_mask`: float32 (T, D), 1 where an action counts; None: everywhere.
    """

    video: bytes
    states: np.ndarray
    actions: np.ndarray
    instruction: str
    seed: int
    facts: dict
    more_videos: dict[str, bytes] = field(default_factory=dict)
    action_mask: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.states)


def save_episode(path: Path, episode: Episode, rate_hz: float) -> None:
    """Encodes the frames and writes the episode to `path` (.npz), atomically."""
    video = encode(episode.frames, rate_hz)
    store_episode(path, StoredEpisode(video, episode.states, episode.actions, episode.instruction, episode.seed, episode.facts))


def store_episode(path: Path, episode: StoredEpisode) -> None:
    """Writes an episode whose frames are encoded already to `path` (.npz), atomically."""
    note = json.dumps({"instruction": episode.instruction, "seed": episode.seed, "facts": episode.facts})
    arrays: dict[str, np.ndarray] = {"video": np.frombuffer(episode.video, np.uint8), "note": np.array(note)}
    arrays |= {f"{_VIDEO_OF}{name}": np.frombuffer(video, np.uint8) for name, video in episode.more_videos.items()}
    if episode.action_mask is not None:
        arrays["action_mask"] = episode.action_mask
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, states=episode.states, actions=episode.actions, **arrays)


def has_action_mask(path: Path) -> bool:
    """Whether a stored episode has an action mask; its arrays are not read for that."""
    with np.load(path) as file:
        return "action_mask" in file.files


def load_episode(path: Path) -> StoredEpisode:
    """The episode in a file of `save_episode` or `store_episode`."""
    with np.load(path) as file:
        note = json.loads(str(file["note"]))
        more = {name.removeprefix(_VIDEO_OF): file[name].tobytes() for name in file.files if name.startswith(_VIDEO_OF)}
        mask = file["action_mask"] if "action_mask" in file.files else None
        return StoredEpisode(file["video"].tobytes(), file["states"], file["actions"], **note, more_videos=more, action_mask=mask)
