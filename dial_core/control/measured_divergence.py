"""Whether measured joints are where their controllers report to stand, or were commanded to be.

The two differ by the servos' error and their lag. By more where motors are cut, a driver reports something else than the robot's joints, or
something blocks a joint. Fingers are not compared: what they grasp blocks them, and they must keep their grip.
"""

from collections.abc import Sequence

import numpy as np

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.reporting_controller import LAG_S, ReportingController


class MeasuredDivergence:
    """Compares measured joints, all but the fingers."""

    def __init__(self, joint_names: Sequence[str], limit_rad: float, fingers: np.ndarray | None = None) -> None:
        """`limit_rad`: farthest they may be [rad]; `fingers`: True (J,) for the joints that are not compared, None: all are."""
        self._joint_names, self._limit_rad = tuple(joint_names), limit_rad
        self._compared = np.ones(len(joint_names), dtype=bool) if fingers is None else ~fingers

    def is_far(self, off: np.ndarray, columns: np.ndarray) -> bool:
        """Whether any of the joints `columns` that are compared is too far `off` (J,) [rad]."""
        return bool((self.counted(off[columns], columns) > self._limit_rad).any())

    def counted(self, off: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """How far the joints `columns` are `off` (J',) [rad], and 0 for those that are not compared: (J',) [rad]."""
        return np.where(self._compared[columns], off, 0.0)

    def from_reference(self, name: str, controller: ReportingController, measured: np.ndarray) -> str:
        """Which measured joint (J,) [rad] is farthest from the references that a controller reported; empty: none is too far."""
        off = self.counted(controller.off(measured[controller.columns]), controller.columns)
        worst = int(off.argmax())
        if off[worst] <= self._limit_rad:
            return ""
        joint = controller.columns[worst]
        return (
            f"{self._joint_names[joint]} is measured at {measured[joint]:.2f} rad, but {name} reports that it commands "
            f"{controller.position[worst]:.2f} rad (limit {self._limit_rad:.2f} rad)"
        )


def measured_error(running: JointMotion, time_ns: int, positions: np.ndarray) -> np.ndarray:
    """How far measured joints (J,) [rad] are from where `running` was within the last LAG_S: (J,) [rad], not positive if between."""
    around = np.array([running.sample(time_ns - round(lag_s * NANOSECONDS))[0] for lag_s in np.linspace(0, LAG_S, 4)])
    return np.maximum(around.min(0) - positions, positions - around.max(0))
