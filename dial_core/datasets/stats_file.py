"""`meta/stats.json` of a dataset, computed anew from its vectors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from dial_core.datasets.lerobot_source import LeRobotSource
from dial_core.datasets.statistics import Statistics, statistics_of
from dial_core.errors import DialError


def dataset_statistics(folder: Path) -> dict[str, Statistics]:
    """Statistics of state and action over all frames.

    Raises:
        DialError: an episode has values that are not finite, or lacks a vector; the message names it.
    """
    source = LeRobotSource(folder)
    parts: dict[str, list[np.ndarray]] = {"observation.state": [], "action": []}
    for episode in source.episodes:
        columns = source.columns(episode)
        for name, found in parts.items():
            if name not in columns or not np.isfinite(columns[name]).all():
                fault = "values that are not finite" if name in columns else "nothing"
                raise DialError(
                    f"{folder}, {episode.name}: {name} holds {fault}; `dial data check` lists every fault, "
                    "`dial data split --without` leaves episodes out"
                )
            found.append(columns[name])
    return {name: statistics_of(np.concatenate(found)) for name, found in parts.items()}


def write_statistics(folder: Path, statistics: dict[str, Statistics]) -> Path:
    """Puts them into `meta/stats.json`, beside what else is there; returns the file."""
    file = folder / "meta/stats.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    content |= {name: values.as_lerobot() for name, values in statistics.items()}
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.rename(file)
    return file
