"""Other axes for the wrist frames of recorded vectors: what one hand tracker calls x may be the robot's -y."""

from __future__ import annotations

from typing import Literal

import numpy as np

SignedAxis = Literal["x", "y", "z", "-x", "-y", "-z"]
AS_RECORDED: tuple[SignedAxis, SignedAxis, SignedAxis] = ("x", "y", "z")
_ROTATIONS = (slice(3, 9), slice(12, 18))  # of the vector: two 6D rotations, the first two columns of each wrist's rotation matrix


def column_map(axes: tuple[SignedAxis, SignedAxis, SignedAxis]) -> np.ndarray:
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


def with_wrist_axes(vectors: np.ndarray, axes: tuple[SignedAxis, SignedAxis, SignedAxis]) -> np.ndarray:
    """Vectors (..., D) whose wrists' rotations are about the axes `axes` of the recorded frames; positions and joints stay."""
    if axes == AS_RECORDED:
        return vectors
    changed = np.array(vectors)
    for place in _ROTATIONS:
        first, second = vectors[..., place][..., :3], vectors[..., place][..., 3:]
        columns = np.stack([first, second, np.cross(first, second)], -1) @ column_map(axes)
        changed[..., place] = np.concatenate([columns[..., 0], columns[..., 1]], -1)
    return changed
