"""The longest of the last durations of an operation: an estimate for a motion that must not arrive late."""

from collections import deque

from dial_core.control.motion import NANOSECONDS

REMEMBERED = 10


class RecentDurations:
    """The last ten durations of one operation."""

    def __init__(self) -> None:
        self._durations_s: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, begin_ns: int, end_ns: int) -> None:
        """Adds a duration; one that a clock step made negative is left out."""
        if end_ns >= begin_ns:
            self._durations_s.append((end_ns - begin_ns) / NANOSECONDS)

    @property
    def longest_s(self) -> float | None:
        """The longest [s]; None before the first."""
        return max(self._durations_s, default=None)
