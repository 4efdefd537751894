"""How near to their limits the set-points come that the controllers command: finite differences of what was executed."""

from dataclasses import dataclass

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS

POSITION_TOLERANCE_RAD = 1e-4
SHARE_TOLERANCE = 0.01  # a set-point every 10 ms: mean accelerations of two periods, from positions in float64


@dataclass(frozen=True)
class LimitUse:
    """The worst over all joints and moments.

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
        """No limit was exceeded."""
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


def limit_use(stamps_ns: np.ndarray, positions: np.ndarray, guard: Guard, period_ns: int) -> LimitUse:
    """Judges set-points (K, J) [rad] at `stamps_ns` (K,) against the limits.

    Only neighbours exactly one period apart make a velocity: where the clock jumped or a message is missing, there is none.
    """
    if not len(positions):
        return LimitUse()
    period_s = period_ns / NANOSECONDS
    adjacent = np.diff(stamps_ns) == period_ns
    velocities = np.diff(positions, axis=0) / period_s
    accelerations = np.diff(velocities, axis=0) / period_s
    speeds = np.abs(velocities[adjacent]) / guard.velocity
    changes = np.abs(accelerations[adjacent[:-1] & adjacent[1:]]) / guard.acceleration
    outside = np.maximum(guard.lower - positions, positions - guard.upper)
    return LimitUse(float(outside.max()), float(speeds.max(initial=0.0)), float(changes.max(initial=0.0)), len(positions))
