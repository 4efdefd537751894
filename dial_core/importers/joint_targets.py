"""Joint targets at the control rate, from a dataset's episode or a bag's commands: what `dial replay robot` plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dial_core.bags.reader import Bag
from dial_core.bags.storage import storage_files
from dial_core.datasets.episode_spans import EpisodeSpan
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.bag.recorded_scene import scene_of
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams
from dial_core.robot.embodiment import load_embodiment


def recorded_scene(source: Path, episode: int) -> tuple[str, int | None]:
    """Task and seed of the simulated scene that a recording was made on; empty and None if it names none."""
    if _is_bag(source):
        return scene_of(Bag(source).facts)
    span = _episode(LeRobotDataset(source), episode)
    return (span.facts["task"], span.seed) if span.facts.get("task") else ("", None)


def recorded_targets(source: Path, episode: int) -> tuple[np.ndarray, str]:
    """Targets (T, J) [rad] of a bag's commands, or of a dataset's episode, and the embodiment's name.

    Raises:
        DialError: `source` is neither, or the dataset has no such episode.
    """
    if _is_bag(source):
        bag = Bag(source)
        embodiment = load_embodiment(bag.facts.get("embodiment", "gr1"))
        timeline = read_timeline(bag, find_streams(bag, embodiment, embodiment.cameras[:1]), embodiment)
        pieces = resample(timeline, embodiment, Resampling(gaps="keep", min_length_s=0.0)).pieces
        return pieces[0].targets, embodiment.name
    dataset = LeRobotDataset(source)
    span, embodiment = _episode(dataset, episode), load_embodiment(dataset.info["robot_type"])
    return dataset.actions[span.first : span.first + span.length, embodiment.joint_slice].astype(np.float64), embodiment.name


def save_motion(path: Path, targets: np.ndarray, embodiment: str) -> None:
    """Writes targets (T, J) [rad] where `python -m dial_ros.tools.replay` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, targets=targets, embodiment=embodiment)


def _is_bag(source: Path) -> bool:
    return source.is_file() or (source.is_dir() and bool(storage_files(source)))


def _episode(dataset: LeRobotDataset, episode: int) -> EpisodeSpan:
    if not 0 <= episode < len(dataset.episodes):
        raise DialError(f"{dataset.folder} has no episode {episode}; choose 0 to {len(dataset.episodes) - 1}")
    return dataset.episodes[episode]
