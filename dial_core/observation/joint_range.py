"""Detects measured joints that are far outside their limits: a sign, a zero or a limit is wrong, or the robot was moved there.

The limits would lead such a joint back inside at the first motion, at up to its highest speed, whatever the model asks for.
"""

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.robot.embodiment import Embodiment

OUTSIDE_RAD = 0.1  # what servos' errors, gravity and encoders' offsets stay below; a wrong sign or zero shows as more before long
FINGER_OUTSIDE_RAD = 0.3  # the same of a finger, the sum of coupled hinges with play, which a grasp may bend further
LASTING_S = 0.1  # of every joint state: a single one may be corrupt, or of a second publisher, which is reported as such


class JointRange:
    """Compares joint states with the position limits in use, without margins: the embodiment's, until `use_limits`."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._names, self._lower, self._upper = embodiment.joint_names, embodiment.lower, embodiment.upper
        self._sources = "the embodiment's YAML"
        self._tolerated_rad = np.where(embodiment.fingers, FINGER_OUTSIDE_RAD, OUTSIDE_RAD)
        self._since_ns: int | None = None
        self._newest_ns = 0
        self._newest: np.ndarray | None = None
        self._why = ""

    @property
    def complaint(self) -> str:
        """Which joints have been outside for LASTING_S, with values, limits and what to do; empty: none."""
        lasts = self._since_ns is not None and self._newest_ns - self._since_ns >= LASTING_S * NANOSECONDS
        return self._why if lasts else ""

    def use_limits(self, lower: np.ndarray, upper: np.ndarray) -> None:
        """Compares with limits (J,) [rad] that a URDF has narrowed from now on, and the newest joint state at once: a chunk may be due."""
        self._lower, self._upper, self._sources = lower, upper, "the embodiment's YAML and robot_description"
        newest_ns, newest = self._newest_ns, self._newest
        if newest is not None:
            self.note(newest_ns - round(LASTING_S * NANOSECONDS), newest)
            self.note(newest_ns, newest)

    def note(self, stamp_ns: int, positions: np.ndarray) -> None:
        """Takes in a joint state (J,) [rad]."""
        self._newest_ns, self._newest = stamp_ns, positions
        outside = np.maximum(self._lower - positions, positions - self._upper) > self._tolerated_rad
        if not outside.any():
            self._since_ns, self._why = None, ""
            return
        if self._since_ns is None or stamp_ns < self._since_ns:
            self._since_ns = stamp_ns
        found = [
            f"{self._names[j]} at {positions[j]:.2f} rad (limits {self._lower[j]:.2f} to {self._upper[j]:.2f}, tolerance "
            f"{self._tolerated_rad[j]:.1f})"
            for j in np.flatnonzero(outside)
        ]
        self._why = (
            f"joints far outside their limits: {', '.join(found)}; check their signs, zeros and limits in {self._sources}, or "
            "bring them inside by the robot's own means"
        )
