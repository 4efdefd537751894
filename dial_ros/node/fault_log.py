"""Log severity of faults that may repeat with every message: a single dropped frame is not worth a warning, a rate of them is."""

from collections import deque
from dataclasses import dataclass, field

RATE_WINDOW_S = 2.0
RATE_COUNT = 3  # so many within the window are a rate
LOG_PERIOD_S = 5.0  # between two lines of one kind at one severity


@dataclass
class _Kind:
    """Wall times [s] of the newest faults of a kind, when it was last logged, and how many came since."""

    recent_s: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_COUNT))
    logged_s: dict[str, float] = field(default_factory=dict)
    unlogged: int = 0


class FaultLog:
    """Decides which faults are logged, and with which severity."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def note(self, kind: str, why: str, now_s: float, grave: bool = False) -> tuple[str, str] | None:
        """Counts a fault; severity (`info`, `warning` or `error`) and text to log now, or None to stay quiet.

        Args:
            kind: faults of one kind are counted together.
            why: the message.
            now_s: wall time [s].
            grave: an error at once; else a single fault is an info and RATE_COUNT within RATE_WINDOW_S a warning.
        """
        seen = self._kinds.setdefault(kind, _Kind())
        seen.recent_s.append(now_s)
        seen.unlogged += 1
        at_a_rate = len(seen.recent_s) == RATE_COUNT and now_s - seen.recent_s[0] <= RATE_WINDOW_S
        severity = "error" if grave else "warning" if at_a_rate else "info"
        if now_s - seen.logged_s.get(severity, -LOG_PERIOD_S) < LOG_PERIOD_S:
            return None
        seen.logged_s[severity] = now_s
        count, seen.unlogged = seen.unlogged, 0
        return severity, why if count == 1 else f"{why} ({count} times since the last such line)"
