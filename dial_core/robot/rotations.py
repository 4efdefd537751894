"""Rotations in the representations that datasets use, converted by scipy, and interpolation between two rotations."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from dial_core.errors import DialError
from dial_core.finiteness import require_finite

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

WIDTHS = {"axis_angle": 3, "quaternion": 4, "rotation_6d": 6, "matrix": 9}  # every `euler_angles_*` has 3
_AXES = {"r": "X", "p": "Y", "y": "Z"}  # capitals: about the turned axes, so that R = R_first R_second R_third


def _rotation() -> type[Rotation]:
    """scipy's class, imported when it is first needed: a third of what importing a node costs, which one that is refused never needs."""
    from scipy.spatial.transform import Rotation

    return Rotation


def width_of(kind: str) -> int:
    """How many numbers a rotation of a GR00T `rotation_type` has.

    Raises:
        DialError: unknown kind; the message lists the known ones.
    """
    if kind.startswith("euler_angles_") and sorted(kind.removeprefix("euler_angles_")) == ["p", "r", "y"]:
        return 3
    if kind not in WIDTHS:
        raise DialError(f"rotation_type '{kind}' is not known; known: {', '.join(WIDTHS)}, euler_angles_rpy and its other orders")
    return WIDTHS[kind]


def matrices(values: np.ndarray, kind: str, quaternion_order: str = "wxyz") -> np.ndarray:
    """Rotation matrices (T, 3, 3) of rotations (T, width) of a GR00T `rotation_type`.

    `rotation_6d` is the first two *columns*, one after the other, as in our own vectors; `matrix` is row by row and made
    orthonormal; `euler_angles_rpy` [rad] is R_x(first) R_y(second) R_z(third), and so on for the other orders.

    Raises:
        DialError: another width, or values that are no rotation (not finite, a zero quaternion, dependent columns).
    """
    if values.shape[-1] != width_of(kind):
        raise DialError(f"a rotation of type '{kind}' has {width_of(kind)} numbers, got {values.shape[-1]}")
    values = np.asarray(values, np.float64)
    require_finite(values, f"rotations of type '{kind}'")
    try:
        return _matrices(values, kind, quaternion_order)
    except ValueError as error:  # scipy: zero norm quaternions, matrices that mirror
        raise DialError(f"rotations of type '{kind}': {error}") from error


def _matrices(values: np.ndarray, kind: str, quaternion_order: str) -> np.ndarray:
    if kind == "matrix":
        return _rotation().from_matrix(values.reshape(-1, 3, 3)).as_matrix()
    if kind == "rotation_6d":
        if (np.linalg.norm(np.cross(values[:, :3], values[:, 3:]), axis=-1) < 1e-9).any():
            raise ValueError("the two columns are zero or parallel")
        return rotation_from_6d(values)
    if kind == "axis_angle":
        return from_axis_angle(values)
    if kind == "quaternion":
        return _rotation().from_quat(values, scalar_first=quaternion_order == "wxyz").as_matrix()
    return _rotation().from_euler("".join(_AXES[letter] for letter in kind.removeprefix("euler_angles_")), values).as_matrix()


def from_axis_angle(vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) [rad]."""
    return _rotation().from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3)


def to_axis_angle(rotations: np.ndarray) -> np.ndarray:
    """Rotation vectors (T, 3) [rad] of rotation matrices (T, 3, 3); at half a turn one of the two."""
    return _rotation().from_matrix(rotations).as_rotvec()


def from_quaternion(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) in wxyz order, normalised first."""
    return _rotation().from_quat(quaternions, scalar_first=True).as_matrix()


def from_rpy(rpy: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) of a URDF's roll, pitch and yaw (3,): turns about the fixed axes x, y, z [rad]."""
    return _rotation().from_euler("xyz", rpy).as_matrix()


def to_rpy(rotation: np.ndarray) -> np.ndarray:
    """Roll, pitch and yaw (3,) [rad] of a rotation matrix (3, 3), as a URDF wants them; yaw is 0 where the angles are ambiguous."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scipy's, that the angles are ambiguous
        return _rotation().from_matrix(rotation).as_euler("xyz")


def quaternion_from_rpy(rpy: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """Quaternion wxyz of a URDF's roll, pitch and yaw: turns about the fixed axes x, y, z [rad]."""
    w, x, y, z = _rotation().from_euler("xyz", rpy).as_quat(canonical=True, scalar_first=True)
    return (float(w), float(x), float(y), float(z))


def interpolate(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) a `share` (T,) in [0, 1] of the way from `first` to `second`, on the shortest arc."""
    turn = to_axis_angle(np.swapaxes(first, -1, -2) @ second)
    return first @ from_axis_angle(turn * share[:, None])


def rotation_to_6d(rotation: np.ndarray) -> np.ndarray:
    """First two columns of rotation matrices (..., 3, 3), one after the other: (..., 6)."""
    return np.concatenate([rotation[..., :, 0], rotation[..., :, 1]], axis=-1)


def rotation_from_6d(six: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) from 6D rotations (..., 6) by Gram-Schmidt, for any two independent columns."""
    first = six[..., :3] / np.linalg.norm(six[..., :3], axis=-1, keepdims=True)
    second = six[..., 3:] - np.sum(first * six[..., 3:], axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-1)
