"""Small made-up episodes for tests of data and training: a bright square that moves, and joints that move with it."""

from pathlib import Path

import numpy as np
import pytest

from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import Episode, save_episode
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.robot.embodiment import load_embodiment

RATE_HZ = 20.0
INSTRUCTIONS = ("put the can on the plate", "put the cup on the plate")


def make_episode(seed: int, length: int = 24) -> Episode:
    """A smooth scene of 96x96 with a square moving to the right."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(60, 160, 96).astype(np.uint8)
    frames = np.repeat(np.broadcast_to(ramp[None, :, None], (96, 96, 3))[None], length, 0).copy()
    for step, frame in enumerate(frames):
        frame[30:50, 10 + step : 30 + step] = (200, 30, 40 + 10 * seed)
    path = np.cumsum(rng.normal(0.0, 0.01, (length + 1, 47)), 0).astype(np.float32)
    path[:, 18:25] = 0.25  # the idle left arm
    facts = {"task": "PlacematToPlate", "objects": ["can", "cup"], "target": seed % 2}
    return Episode(frames, path[:-1], path[1:], INSTRUCTIONS[seed % 2], seed, facts)


def make_dataset(folder: Path, lengths: tuple[int, ...] = (24, 30, 20)) -> LeRobotDataset:
    """A LeRobot dataset of fake episodes at `folder`."""
    paths = []
    for seed, length in enumerate(lengths):
        paths.append(folder.with_name("attempts") / f"{seed:06d}.npz")
        save_episode(paths[-1], make_episode(seed, length), RATE_HZ)
    write_dataset(folder, paths, load_embodiment(), (96, 96))
    return LeRobotDataset(folder)


@pytest.fixture(scope="session")
def fake_episode():
    """(seed, length) -> an episode."""
    return make_episode


@pytest.fixture(scope="session")
def fake_dataset():
    """(folder, lengths) -> a dataset."""
    return make_dataset


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory):
    """Folder of a dial_tiny checkpoint with random weights of seed 0; tests copy what they change."""
    from dial_core.checkpoint.checkpoint import make_random_checkpoint  # torch: not for tests of data

    path = tmp_path_factory.mktemp("checkpoints") / "random"
    make_random_checkpoint(path, seed=0)
    return path
