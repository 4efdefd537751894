"""Joint limits and finiteness: what must hold of any motion before it leaves for the controllers, which check neither."""

from dataclasses import dataclass

import numpy as np

from dial_core.embodiment import Embodiment
from dial_core.errors import DialError

NOTICEABLE_RAD = 0.01  # smaller corrections are numerical, not worth counting


class NotFiniteError(DialError):
    """A chunk or foresight holds NaN or infinity."""


@dataclass(frozen=True)
class Guard:
    """Limits of every joint, all (J,): positions [rad], speed [rad/s], acceleration [rad/s^2]."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray

    @classmethod
    def for_embodiment(cls, embodiment: Embodiment, position_margin: float = 0.0) -> "Guard":
        """The embodiment's limits, positions drawn in by `position_margin` [rad] at both ends."""
        return cls(
            embodiment.lower + position_margin,
            embodiment.upper - position_margin,
            embodiment.velocity,
            embodiment.acceleration,
        )

    def clamp_positions(self, positions: np.ndarray) -> tuple[np.ndarray, int]:
        """Positions (K, J) [rad] inside the limits, and how many values moved noticeably."""
        inside = np.clip(positions, self.lower, self.upper)
        return inside, int(np.count_nonzero(np.abs(inside - positions) > NOTICEABLE_RAD))

    def limit_rates(
        self, start: tuple[np.ndarray, np.ndarray], start_s: float, times_s: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, int]:
        """Positions (K, J) [rad] that follow `targets` within the limits of velocity and acceleration, and a count.

        A target that can be reached is reached exactly: a motion inside the limits passes unchanged. One that cannot
        is caught up with at no more speed, beyond the target's own, than can still be braked away on the distance left.

        Args:
            start: position (J,) [rad] and velocity (J,) [rad/s] at `start_s` [s].
            times_s: (K,) [s], strictly increasing, the first after `start_s`.
            targets: (K, J) [rad].

        Returns:
            The positions, and how many values were moved noticeably.
        """
        position, velocity = start
        reached = np.empty_like(targets)
        own, previous_target, previous_s = velocity, position, start_s
        for k, (time_s, target) in enumerate(zip(times_s, targets, strict=True)):
            step_s = time_s - previous_s
            if k:
                own = (target - previous_target) / step_s
            lag = (target - position) / step_s - own
            braking = np.sqrt(2.0 * self.acceleration * np.abs(lag) * step_s)
            wanted = own + np.clip(lag, -braking, braking)
            change = self.acceleration * step_s
            wanted = np.clip(wanted, velocity - change, velocity + change)
            velocity = np.clip(wanted, -self.velocity, self.velocity)
            position = np.clip(position + velocity * step_s, self.lower, self.upper)
            reached[k] = position
            previous_target, previous_s = target, time_s
        return reached, int(np.count_nonzero(np.abs(reached - targets) > NOTICEABLE_RAD))

    def stopping_time(self, velocity: np.ndarray) -> float:
        """Seconds in which every joint can come to rest from `velocity` (J,) [rad/s]."""
        return float(np.max(np.abs(velocity) / self.acceleration))


def require_finite(values: np.ndarray, what: str) -> None:
    """Raises NotFiniteError if `values` hold a NaN or an infinity; `what` names them in the message."""
    bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise NotFiniteError(f"{what}: {bad} of {values.size} values are not finite; dropped whole, nothing of it moves the robot")
