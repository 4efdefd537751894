"""Detects joint states that cannot come from one robot: a joint moved farther between two of them than its velocity limit allows."""

from collections.abc import Sequence

import numpy as np

from dial_core.control.motion import NANOSECONDS

TOLERANCE_RAD = 0.05  # noise of two encoders, and stamps that are a few milliseconds off
REMEMBERED_S = 1.0  # a disagreement counts for so long


class JointAgreement:
    """Compares each joint with the message before that reported it. Two sources that disagree alternate, so each pair of them disagrees."""

    def __init__(self, names: Sequence[str], velocity: np.ndarray) -> None:
        """Arguments: joint names and their velocity limits (J,) [rad/s]."""
        self._names, self._velocity = names, velocity
        self._positions: np.ndarray
        self._stamps_ns: np.ndarray
        self.clear()

    def note(self, stamp_ns: int, positions: np.ndarray) -> bool:
        """Records a joint state (J,) [rad] in the order of the names, and returns whether it disagrees with the reports before.

        NaN: a joint is not in this message.
        """
        elapsed_s = np.abs(stamp_ns - self._stamps_ns) / NANOSECONDS
        apart = np.abs(positions - self._positions)
        beyond = np.where(elapsed_s < REMEMBERED_S, np.nan_to_num(apart - self._velocity * elapsed_s, nan=-np.inf), -np.inf)
        worst = int(np.argmax(beyond))
        disagrees = bool(beyond[worst] > TOLERANCE_RAD)
        if disagrees:
            self._why, self._why_ns = f"{self._names[worst]} by {apart[worst]:.2f} rad within {elapsed_s[worst]:.3f} s", stamp_ns
        reported = ~np.isnan(positions)
        self._positions[reported], self._stamps_ns[reported] = positions[reported], stamp_ns
        return disagrees

    def disagreement(self, now_ns: int) -> str:
        """Returns which joint disagreed within REMEMBERED_S, and by how much; empty if none."""
        recent = self._why and abs(now_ns - self._why_ns) < REMEMBERED_S * NANOSECONDS
        return self._why if recent else ""

    def clear(self) -> None:
        """Drops all records (the clock stepped)."""
        self._why, self._why_ns = "", 0
        self._positions = np.full(len(self._names), np.nan)
        self._stamps_ns = np.zeros(len(self._names), dtype=np.int64)
