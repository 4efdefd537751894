"""How near to their limits the set-points come that the controllers command, from finite differences."""

from dataclasses import dataclass

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS

POSITION_TOLERANCE_RAD = 1e-4
SHARE_TOLERANCE = 0.01  # mean accelerations of two periods, from positions in float64 and times in nanoseconds


@dataclass(frozen=True)
class LimitUse:
    """The worst over all joints and times.

    Fields:
        outside_rad: farthest outside of the position limits [rad]; negative or zero: inside.
        velocity, acceleration: share of the limit [1].
        set_points: how many were judged.
    """

    outside_rad: float = -np.inf
    velocity: float = 0.0
    acceleration: float = 0.0
    set_points: int = 0

    @property
    def kept(self) -> bool:
        """Whether no limit was exceeded."""
        shares = max(self.velocity, self.acceleration)
        return self.outside_rad <= POSITION_TOLERANCE_RAD and shares <= 1 + SHARE_TOLERANCE

    def __or__(self, other: "LimitUse") -> "LimitUse":
        """The worst of both."""
        return LimitUse(
            max(self.outside_rad, other.outside_rad),
            max(self.velocity, other.velocity),
            max(self.acceleration, other.acceleration),
            self.set_points + other.set_points,
        )


def limit_use(stamps_ns: np.ndarray, positions: np.ndarray, guard: Guard, period_ns: int, judged: np.ndarray | None = None) -> LimitUse:
    """The LimitUse of set-points (K, J) [rad] at `stamps_ns` (K,).

    Only neighbours exactly one period apart make a velocity: where the clock jumped or a message is missing, there is none.

    Args:
        judged: (K, J) bool; velocities and accelerations around a set-point that is False are left out. None: all are judged.
    """
    if not len(positions):
        return LimitUse()
    speeds, changes = _shares(stamps_ns, positions, guard, period_ns, judged)
    outside = np.maximum(guard.lower - positions, positions - guard.upper)
    return LimitUse(float(outside.max()), float(speeds.max(initial=0.0)), float(changes.max(initial=0.0)), len(positions))


def worst_of(
    stamps_ns: np.ndarray, positions: np.ndarray, guard: Guard, period_ns: int, judged: np.ndarray | None = None
) -> tuple[int, int]:
    """Set-point and joint of the greatest excess: of an acceleration, else of a velocity, else of a position. As `limit_use`."""
    speeds, changes = _shares(stamps_ns, positions, guard, period_ns, judged)
    outside = np.maximum(guard.lower - positions, positions - guard.upper)
    for share in (changes, speeds):
        if share.max(initial=0.0) > 1 + SHARE_TOLERANCE:
            k, joint = np.unravel_index(share.argmax(), share.shape)
            return int(k) + 1, int(joint)
    k, joint = np.unravel_index(outside.argmax(), outside.shape)
    return int(k), int(joint)


def _shares(
    stamps_ns: np.ndarray, positions: np.ndarray, guard: Guard, period_ns: int, judged: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the limits of velocity (K - 1, J) and of acceleration (K - 2, J); 0 where none is judged."""
    period_s = period_ns / NANOSECONDS
    judged = np.ones(positions.shape, dtype=bool) if judged is None else judged
    adjacent = (np.diff(stamps_ns) == period_ns)[:, None] & judged[:-1] & judged[1:]
    velocities = np.diff(positions, axis=0) / period_s
    accelerations = np.diff(velocities, axis=0) / period_s
    speeds = np.where(adjacent, np.abs(velocities) / guard.velocity, 0.0)
    return speeds, np.where(adjacent[:-1] & adjacent[1:], np.abs(accelerations) / guard.acceleration, 0.0)
