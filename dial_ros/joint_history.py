"""What System-1 has seen lately: a short ring of joint states, so that an image finds the joints of its own moment."""

from collections import deque

import numpy as np

from dial_core.runtime.motion import NANOSECONDS


class JointHistory:
    """Recent joint positions (J,) [rad] by stamp."""

    def __init__(self, length: int = 200) -> None:
        self._states: deque[tuple[int, np.ndarray]] = deque(maxlen=length)

    def add(self, stamp_ns: int, positions: np.ndarray) -> None:
        """Notes the newest state; a stamp that goes back means that the robot's clock did: what came before is forgotten."""
        if self._states and stamp_ns < self._states[-1][0]:
            self._states.clear()
        self._states.append((stamp_ns, positions))

    def at(self, stamp_ns: int, max_gap_s: float) -> np.ndarray | None:
        """The last positions measured at or before `stamp_ns`, unless more than `max_gap_s` [s] before it."""
        for state_ns, positions in reversed(self._states):
            if state_ns <= stamp_ns:
                return positions if stamp_ns - state_ns <= max_gap_s * NANOSECONDS else None
        return None

    def clear(self) -> None:
        """Forgets all (the clock jumped)."""
        self._states.clear()
