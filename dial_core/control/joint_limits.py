"""Joint limits and finiteness: what must hold of any motion before it leaves for the controllers, which check neither.

Limits come from the embodiment's YAML, or from the robot's URDF where that is narrower, drawn in by margins. They hold at
every moment that a controller plays, not only at the knots (`limiter` does that part).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from dial_core.config import Config
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.urdf import JointLimits

NOTICEABLE_RAD = 0.01  # smaller corrections are numerical, not worth counting


class Limit(StrEnum):
    """Which limit moved a target."""

    POSITION = "position"
    VELOCITY = "velocity"
    ACCELERATION = "acceleration"
    JUMP = "jump"


Clamps = Counter[Limit]


class Margins(Config):
    """How far inside its limits the robot is kept.

    Attributes:
        position: distance to both ends [rad].
        velocity, acceleration: share of the limit that is used [1].
        jump: farthest that a target may lie from the measured joints, beyond what the joint can travel at its fastest
            until then [rad].
    """

    position: float = 0.0
    velocity: float = 1.0
    acceleration: float = 1.0
    jump: float = float("inf")


@dataclass(frozen=True)
class Guard:
    """Limits of every joint, all (J,): positions [rad], speed [rad/s], acceleration [rad/s^2]; `jump` [rad] as in Margins."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jump: float = float("inf")

    @classmethod
    def for_embodiment(
        cls, embodiment: Embodiment, margins: Margins | None = None, urdf: Mapping[str, JointLimits] | None = None
    ) -> "Guard":
        """The embodiment's limits, narrowed to the robot's own (`urdf`: joint name -> limits) and drawn in by `margins`.

        Raises:
            DialError: the URDF lacks a joint of the embodiment, or nothing is left between a joint's limits.
        """
        limits = cls(embodiment.lower, embodiment.upper, embodiment.velocity, embodiment.acceleration)
        if urdf is not None:
            limits = limits._narrowed(embodiment.joint_names, urdf)
        return limits._drawn_in(embodiment.joint_names, margins or Margins())

    def of(self, columns: np.ndarray) -> "Guard":
        """The limits of some of the joints."""
        return Guard(self.lower[columns], self.upper[columns], self.velocity[columns], self.acceleration[columns], self.jump)

    def _narrowed(self, names: Sequence[str], urdf: Mapping[str, JointLimits]) -> "Guard":
        missing = [name for name in names if name not in urdf]
        if missing:
            raise DialError(
                f"robot_description has no joint {', '.join(missing)}; its movable joints: {', '.join(urdf) or 'none'}. "
                "Check the embodiment's joint names"
            )
        own = [urdf[name] for name in names]
        return replace(
            self,
            lower=np.maximum(self.lower, [joint.lower for joint in own]),
            upper=np.minimum(self.upper, [joint.upper for joint in own]),
            velocity=np.minimum(self.velocity, [joint.velocity for joint in own]),
            acceleration=np.minimum(self.acceleration, [joint.acceleration for joint in own]),
        )

    def _drawn_in(self, names: Sequence[str], margins: Margins) -> "Guard":
        drawn = Guard(
            self.lower + margins.position,
            self.upper - margins.position,
            self.velocity * margins.velocity,
            self.acceleration * margins.acceleration,
            margins.jump,
        )
        usable = (drawn.lower < drawn.upper) & (drawn.velocity > 0) & (drawn.acceleration > 0)
        if not usable.all():
            worst = int(np.argmin(usable))
            raise DialError(
                f"joint '{names[worst]}' has no room to move: {drawn.lower[worst]:.3f} to {drawn.upper[worst]:.3f} rad, "
                f"{drawn.velocity[worst]:.3f} rad/s, {drawn.acceleration[worst]:.3f} rad/s^2; check its limits and the margins"
            )
        return drawn

    def clamp(self, targets: np.ndarray, times_s: np.ndarray, measured: np.ndarray | None = None) -> tuple[np.ndarray, Clamps]:
        """Targets (K, J) [rad] inside the position limits, near enough to what was measured; and what moved noticeably.

        A joint that is measured outside its position limits is led back no faster than the jump allows, so its targets may be outside.

        Args:
            times_s: (K,) of the targets, after the measurement [s].
            measured: (J,) [rad]; None checks no jump.
        """
        clamps: Clamps = Counter()
        near = inside = np.clip(targets, self.lower, self.upper)
        clamps[Limit.POSITION] = _noticeable(inside, targets)
        if measured is not None and np.isfinite(self.jump):
            reach = self.jump + self.velocity * np.asarray(times_s)[:, None]
            near = np.clip(inside, measured - reach, measured + reach)
            clamps[Limit.JUMP] = _noticeable(near, inside)
        return near, +clamps

    def widened_to(self, targets: np.ndarray) -> "Guard":
        """Position limits that leave room for `targets` (K, J) [rad] of `clamp`, which are outside only where the joint is far outside."""
        return replace(self, lower=np.minimum(self.lower, targets.min(axis=0)), upper=np.maximum(self.upper, targets.max(axis=0)))

    def count_rates(self, times_s: np.ndarray, wanted: np.ndarray, reached: np.ndarray) -> Clamps:
        """Which targets the limits of velocity and acceleration moved noticeably.

        Args:
            times_s: (1 + K,) [s], the first that of the start.
            wanted: (1 + K, J) [rad], start and targets.
            reached: (1 + K, J) [rad], what became of them.
        """
        moved = np.abs(reached - wanted)[1:] > NOTICEABLE_RAD
        too_fast = np.abs(np.diff(wanted, axis=0)) / np.diff(times_s)[:, None] > self.velocity
        counts = {Limit.VELOCITY: int((moved & too_fast).sum()), Limit.ACCELERATION: int((moved & ~too_fast).sum())}
        return +Counter(counts)


def _noticeable(moved: np.ndarray, original: np.ndarray) -> int:
    return int(np.count_nonzero(np.abs(moved - original) > NOTICEABLE_RAD))
