"""Other axes for the wrist frames of recorded vectors: what one hand tracker calls x may be the robot's -y."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from dial_core.robot.vector_layout import Side

SignedAxis = Literal["x", "y", "z", "-x", "-y", "-z"]
Axes = tuple[SignedAxis, SignedAxis, SignedAxis]
WristAxes = Axes | dict[Side, Axes]
"""Of both wrists, or by side; a side that is not named stays as recorded."""
AS_RECORDED: Axes = ("x", "y", "z")
_ROTATIONS = (slice(3, 9), slice(12, 18))  # of the vector: two 6D rotations, the first two columns of each wrist's rotation matrix


def axes_of(axes: WristAxes, wrists: tuple[Side, Side] = ("left", "right")) -> tuple[Axes, Axes]:
    """The axes of the first and of the second wrist of vectors that hold `wrists` in this order."""
    first, second = (axes.get(side, AS_RECORDED) if isinstance(axes, Mapping) else axes for side in wrists)
    return first, second


def in_words(axes: WristAxes) -> str:
    """`y, -x, z`, or `left x, -y, -z and right -x, -y, z` where they differ; empty where all is as recorded."""
    left, right = (", ".join(one) for one in axes_of(axes))
    if left != right:
        return f"left {left} and right {right}"
    return "" if axes_of(axes)[0] == AS_RECORDED else left


def column_map(axes: Axes) -> np.ndarray:
    """The matrix M (3, 3) with R M = the rotation matrix whose columns are the signed columns `axes` of R.

    Raises:
        ValueError: the axes are not a right-handed frame.
    """
    matrix = np.zeros((3, 3), np.float32)
    for column, axis in enumerate(axes):
        matrix["xyz".index(axis[-1]), column] = -1 if axis.startswith("-") else 1
    if round(float(np.linalg.det(matrix))) != 1:
        raise ValueError(f"wrist_axes [{', '.join(axes)}] are not a right-handed frame; name every axis once, with an even change of signs")
    return matrix


def with_wrist_axes(vectors: np.ndarray, axes: tuple[Axes, Axes]) -> np.ndarray:
    """Vectors (..., D) with either wrist's rotation about the axes `axes` of its recorded frame; positions and joints stay."""
    if axes == (AS_RECORDED, AS_RECORDED):
        return vectors
    changed = np.array(vectors)
    for place, wrist in zip(_ROTATIONS, axes, strict=True):
        if wrist == AS_RECORDED:
            continue
        first, second = vectors[..., place][..., :3], vectors[..., place][..., 3:]
        columns = np.stack([first, second, np.cross(first, second)], -1) @ column_map(wrist)
        changed[..., place] = np.concatenate([columns[..., 0], columns[..., 1]], -1)
    return changed
