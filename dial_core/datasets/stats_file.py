"""Statistics of a dataset's vectors, and `meta/stats.json` computed again from them."""

from __future__ import annotations

from pathlib import Path

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.meta_files import read_json
from dial_core.datasets.statistics import Statistics, statistics_of
from dial_core.errors import DialError
from dial_core.files.atomic import write_json


def dataset_statistics(dataset: LeRobotDataset) -> dict[str, Statistics]:
    """Statistics of state and action over all frames.

    Raises:
        DialError: a value is not finite, or an episode lacks a vector; the message says how to find and leave out such episodes.
    """
    try:
        return {"observation.state": statistics_of(dataset.states), "action": statistics_of(dataset.actions)}
    except DialError as error:
        raise DialError(f"{error}; `dial data check` lists every fault, `dial data split --without` leaves episodes out") from error


def write_statistics(folder: Path, statistics: dict[str, Statistics]) -> Path:
    """Writes statistics to `meta/stats.json`, beside those of other features there; returns the file."""
    file = folder / "meta/stats.json"
    content = read_json(file) if file.is_file() else {}
    write_json(file, content | {name: values.as_lerobot() for name, values in statistics.items()})
    return file
