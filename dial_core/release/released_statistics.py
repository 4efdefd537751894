"""The statistics that a release was trained with, as a normaliser: `experiment_cfg/metadata.json` of its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser, rotation_dimensions
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.vector_layout import LayoutConverter, VectorLayout

METADATA = Path("experiment_cfg/metadata.json")


def read_normaliser(path: Path, layout: VectorLayout, embodiment: Embodiment) -> Normaliser:
    """The normaliser of the embodiment `layout.tag`, in the order of `layout.statistics`.

    As the release normalises: positions and actions by mean and standard deviation without a floor, 6D rotations raw, the
    state's joints as sine and cosine, group by group.

    Raises:
        DialError: the file is broken, has no such embodiment or block, or a block of another width.
    """
    try:
        statistics: dict[str, Any] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise DialError(f"{path} cannot be read: {error}") from error
    if layout.tag not in statistics:
        raise DialError(f"{path} has no statistics of '{layout.tag}'; it has {', '.join(statistics) or 'none'}")
    parts = LayoutConverter(layout, embodiment).parts
    widths = dict(zip(layout.statistics, (3, 6, 3, 6, *parts), strict=True))
    state_mean, state_std, action_mean, action_std = (
        _joined(path, statistics[layout.tag], what, name, widths) for what in ("state", "action") for name in ("mean", "std")
    )
    raw = rotation_dimensions(embodiment.state_dim)
    return Normaliser(state_mean, state_std, action_mean, action_std, raw, state_encoding="sin_cos", parts=parts, spread_floor=0.0)


def _joined(path: Path, embodiment: dict[str, Any], what: str, name: str, widths: dict[str, int]) -> np.ndarray:
    """The statistic `name` of all blocks, one after the other."""
    blocks = []
    for block, width in widths.items():
        try:
            values = np.atleast_1d(np.array(embodiment["statistics"][what][block][name], np.float64))
        except (KeyError, TypeError, ValueError) as error:
            raise DialError(f"{path}: no numbers at statistics.{what}.{block}.{name} ({type(error).__name__}: {error})") from error
        if values.shape != (width,):
            raise DialError(f"{path}: statistics.{what}.{block}.{name} has shape {values.shape}, expected ({width},)")
        blocks.append(values)
    return np.concatenate(blocks)
