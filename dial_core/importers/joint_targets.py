"""Joint targets at the control rate, from a dataset's episode or a bag's commands: what `dial replay robot` plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dial_core.bags.reader import Bag
from dial_core.bags.storage import storage_files
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.streams import find_streams
from dial_core.importers.bag.timeline import read_timeline
from dial_core.robot.embodiment import load_embodiment


def recorded_targets(source: Path, episode: int) -> tuple[np.ndarray, str]:
    """Targets (T, J) [rad] of a bag's commands, or of a dataset's episode, and the embodiment's name.

    Raises:
        DialError: `source` is neither, or the dataset has no such episode.
    """
    if source.is_file() or (source.is_dir() and storage_files(source)):
        bag = Bag(source)
        embodiment = load_embodiment(bag.facts.get("embodiment", "gr1"))
        timeline = read_timeline(bag, find_streams(bag, embodiment, embodiment.cameras[:1]), embodiment)
        pieces = resample(timeline, embodiment, Resampling(gaps="keep", min_length_s=0.0)).pieces
        return pieces[0].targets, embodiment.name
    dataset = LeRobotDataset(source)
    if not 0 <= episode < len(dataset.episodes):
        raise DialError(f"{source} has no episode {episode}; choose 0 to {len(dataset.episodes) - 1}")
    span, embodiment = dataset.episodes[episode], load_embodiment(dataset.info["robot_type"])
    return dataset.actions[span.first : span.first + span.length, embodiment.joint_slice].astype(np.float64), embodiment.name


def save_motion(path: Path, targets: np.ndarray, embodiment: str) -> None:
    """Writes targets (T, J) [rad] where `python -m dial_ros.tools.replay` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, targets=targets, embodiment=embodiment)
