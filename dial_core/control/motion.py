"""A joint motion over time: knots with positions and velocities, cubic in between, as a trajectory controller plays it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

NANOSECONDS = 1_000_000_000
APART_S = 1e-6  # knots of one motion are apart by more than this: messages count nanoseconds


def to_ns(stamp: Any) -> int:
    """Nanoseconds of a Time or Duration message, rclpy's or one decoded from a bag."""
    return stamp.sec * NANOSECONDS + stamp.nanosec


@dataclass(frozen=True)
class JointMotion:
    """Knots of a joint motion. Before the first knot it stands at the first, after the last at the last.

    Fields:
        origin_ns: time zero of `times_s`, in the clock's nanoseconds. Kept apart as an integer, because a float of
            seconds since 1970 has no more than a tenth of a microsecond.
        times_s: (K,) [s] after the origin, strictly increasing.
        positions: (K, J) [rad].
        velocities: (K, J) [rad/s].
    """

    origin_ns: int
    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray

    @classmethod
    def standing(cls, origin_ns: int, position: np.ndarray) -> "JointMotion":
        """No motion: the robot stands at `position` (J,) [rad]."""
        position = np.asarray(position, dtype=np.float64)
        return cls(origin_ns, np.zeros(1), position[None], np.zeros((1, position.size)))

    def relocated(self, joints: np.ndarray, position: np.ndarray) -> "JointMotion":
        """The same motion, but with the `joints` (J,) bool standing at their `position` (J,) [rad] all the time."""
        positions, velocities = np.where(joints, position, self.positions), np.where(joints, 0.0, self.velocities)
        return replace(self, positions=positions, velocities=velocities)

    def beginning_at(self, time_s: float) -> "JointMotion":
        """The part from `time_s` [s] after the origin on, which must lie before the last knot."""
        position, velocity = self.sample_offset(time_s)
        later = self.times_s > time_s + APART_S
        return JointMotion(
            self.origin_ns,
            np.concatenate([[time_s], self.times_s[later]]),
            np.concatenate([position[None], self.positions[later]]),
            np.concatenate([velocity[None], self.velocities[later]]),
        )

    def shifted(self, step_ns: int) -> "JointMotion":
        """The same motion `step_ns` later."""
        return replace(self, origin_ns=self.origin_ns + step_ns)

    @property
    def begin_ns(self) -> int:
        """Time of the first knot [ns]."""
        return self.origin_ns + round(self.times_s[0] * NANOSECONDS)

    @property
    def end_ns(self) -> int:
        """Time of the last knot [ns]."""
        return self.origin_ns + round(self.times_s[-1] * NANOSECONDS)

    def offset_s(self, time_ns: int) -> float:
        """Seconds from the origin to `time_ns`."""
        return (time_ns - self.origin_ns) / NANOSECONDS

    def sample(self, time_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Position (J,) [rad] and velocity (J,) [rad/s] at `time_ns`."""
        return self.sample_offset(self.offset_s(time_ns))

    def sample_offset(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Position (J,) [rad] and velocity (J,) [rad/s] at `time_s` [s] after the origin."""
        after = int(np.searchsorted(self.times_s, time_s, side="right"))
        if after == 0 or after == len(self.times_s):
            end = 0 if after == 0 else -1
            velocity = self.velocities[end] if time_s == self.times_s[end] else np.zeros(self.positions.shape[1])
            return self.positions[end].copy(), velocity.copy()
        before = after - 1
        return cubic(
            time_s - self.times_s[before],
            self.times_s[after] - self.times_s[before],
            (self.positions[before], self.velocities[before]),
            (self.positions[after], self.velocities[after]),
        )

    def sample_offsets(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (M, J) [rad] and velocities (M, J) [rad/s] at `times_s` (M,) [s] after the origin."""
        last = len(self.times_s) - 1
        before = np.clip(np.searchsorted(self.times_s, times_s, side="right") - 1, 0, max(last - 1, 0))
        after = np.minimum(before + 1, last)
        elapsed_s = np.clip(times_s, self.times_s[0], self.times_s[-1]) - self.times_s[before]
        duration_s = self.times_s[after] - self.times_s[before] if last else np.ones(len(times_s))
        start, end = ((self.positions[k], self.velocities[k]) for k in (before, after))
        positions, velocities = cubic(elapsed_s[:, None], duration_s[:, None], start, end)
        velocities[(times_s < self.times_s[0]) | (times_s > self.times_s[-1])] = 0.0
        return positions, velocities


def merged(motion: JointMotion, other: JointMotion, columns: np.ndarray) -> JointMotion:
    """`motion` with the joints `columns` doing what `other` does. A cubic cut in two is the same cubic: both keep their shape."""
    shift_s = (other.origin_ns - motion.origin_ns) / NANOSECONDS
    times_s = np.unique(np.concatenate([motion.times_s, other.times_s + shift_s]).round(9))
    times_s = times_s[np.concatenate([[True], np.diff(times_s) > APART_S])]
    own, others = ([part.sample_offset(t) for t in ts] for part, ts in ((motion, times_s), (other, times_s - shift_s)))
    positions, velocities = (np.array([state[k] for state in own]) for k in (0, 1))
    positions[:, columns] = np.array([state[0] for state in others])[:, columns]
    velocities[:, columns] = np.array([state[1] for state in others])[:, columns]
    return JointMotion(motion.origin_ns, times_s, positions, velocities)


def cubic(
    elapsed_s: float | np.ndarray, duration_s: float | np.ndarray, start: tuple[np.ndarray, np.ndarray], end: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Position (J,) and velocity (J,) on the cubic between two knots, each (position [rad], velocity [rad/s]).

    Elapsed time and duration [s] are those of all joints or (J,) one each.

    The same polynomial as ros2_controllers' `Trajectory::interpolate_between_points` with positions and velocities.
    """
    (p0, v0), (p1, v1) = start, end
    c2 = (-3.0 * p0 + 3.0 * p1 - 2.0 * v0 * duration_s - v1 * duration_s) / duration_s**2
    c3 = (2.0 * p0 - 2.0 * p1 + v0 * duration_s + v1 * duration_s) / duration_s**3
    position = p0 + elapsed_s * (v0 + elapsed_s * (c2 + elapsed_s * c3))
    velocity = v0 + elapsed_s * (2.0 * c2 + elapsed_s * 3.0 * c3)
    return position, velocity
