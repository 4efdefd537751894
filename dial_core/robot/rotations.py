"""Rotations as other datasets store them -> rotation matrices, and smooth interpolation between two."""

from __future__ import annotations

import numpy as np

from dial_core.errors import DialError
from dial_core.robot.embodiment import rotation_from_6d

WIDTHS = {"axis_angle": 3, "quaternion": 4, "rotation_6d": 6, "matrix": 9}  # every `euler_angles_*` has 3
_AXES = {"r": 0, "p": 1, "y": 2}


def width_of(kind: str) -> int:
    """How many numbers a rotation of this kind has.

    Raises:
        DialError: unknown kind.
    """
    if kind.startswith("euler_angles_") and sorted(kind.removeprefix("euler_angles_")) == ["p", "r", "y"]:
        return 3
    if kind not in WIDTHS:
        raise DialError(f"rotation_type '{kind}' is not known; known: {', '.join(WIDTHS)}, euler_angles_rpy and its other orders")
    return WIDTHS[kind]


def matrices(values: np.ndarray, kind: str, quaternion_order: str = "wxyz") -> np.ndarray:
    """Rotation matrices (T, 3, 3) of rotations (T, width) of a GR00T `rotation_type`.

    `rotation_6d` is the first two *columns*, one after the other, as in our own vectors; `matrix` is row by row;
    `euler_angles_rpy` [rad] is R_x(first) R_y(second) R_z(third), and so on for the other orders.
    """
    if values.shape[-1] != width_of(kind):
        raise DialError(f"a rotation of type '{kind}' has {width_of(kind)} numbers, got {values.shape[-1]}")
    values = np.asarray(values, np.float64)
    if kind == "matrix":
        return values.reshape(-1, 3, 3)
    if kind == "rotation_6d":
        return rotation_from_6d(values)
    if kind == "axis_angle":
        return from_axis_angle(values)
    if kind == "quaternion":
        return _from_quaternion(values if quaternion_order == "wxyz" else np.roll(values, 1, -1))
    letters = kind.removeprefix("euler_angles_")
    first, second, third = (_about(_AXES[letter], values[:, index]) for index, letter in enumerate(letters))
    return first @ second @ third


def from_axis_angle(vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) of rotation vectors (T, 3) [rad] (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)
    axis = np.divide(vectors, angle[:, None], out=np.zeros_like(vectors), where=angle[:, None] > 0)
    x, y, z = axis.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def to_axis_angle(rotations: np.ndarray) -> np.ndarray:
    """Rotation vectors (T, 3) [rad] of rotation matrices (T, 3, 3); at half a turn one of the two."""
    trace = np.trace(rotations, axis1=-2, axis2=-1)
    angle = np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0))
    skew = np.stack(
        [
            rotations[:, 2, 1] - rotations[:, 1, 2],
            rotations[:, 0, 2] - rotations[:, 2, 0],
            rotations[:, 1, 0] - rotations[:, 0, 1],
        ],
        -1,
    )
    # Near half a turn the skew part vanishes; there R = 2 a a^T - I gives the axis.
    column = np.argmax(np.stack([rotations[:, i, i] for i in range(3)], -1), -1)
    symmetric = (rotations + np.eye(3)) / 2
    half_turn = np.take_along_axis(symmetric, column[:, None, None], -1)[..., 0]
    half_turn = half_turn / np.maximum(np.linalg.norm(half_turn, axis=-1, keepdims=True), 1e-12)
    half_turn = half_turn * np.where((skew * half_turn).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    scale = np.where(np.sin(angle) > 1e-7, angle / np.maximum(2 * np.sin(angle), 1e-12), 0.5)
    near = angle > np.pi - 1e-3
    return np.where(near[:, None], half_turn * angle[:, None], skew * scale[:, None])


def interpolate(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) a `share` (T,) in [0, 1] of the way from `first` to `second`, on the shortest arc."""
    turn = to_axis_angle(np.swapaxes(first, -1, -2) @ second)
    return first @ from_axis_angle(turn * share[:, None])


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    return from_axis_angle(np.eye(3)[axis] * angle[:, None])


def _from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)
