"""Estimates the rate of a stream and the number of lost messages from their stamps."""

from collections import deque

from dial_core.control.motion import NANOSECONDS

WINDOW_S = 2.0
RECENT_GAPS = 40  # from which the publisher's period is estimated
EARLY_SHARE = 0.1  # of a period: a message may be stamped this much before its turn


class Rate:
    """Events per second over the last two seconds of the clock that stamps them."""

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque()

    def tick(self, now_ns: int) -> None:
        """Counts one event."""
        self._times_ns.append(now_ns)

    def hz(self, now_ns: int) -> float:
        """Rate [Hz]; 0 if fewer than two events lie in the window."""
        while self._times_ns and now_ns - self._times_ns[0] > WINDOW_S * NANOSECONDS:
            self._times_ns.popleft()
        if len(self._times_ns) < 2 or self._times_ns[-1] <= self._times_ns[0]:
            return 0.0
        return (len(self._times_ns) - 1) * NANOSECONDS / (self._times_ns[-1] - self._times_ns[0])

    def clear(self) -> None:
        """Drops all events (the clock jumped)."""
        self._times_ns.clear()


class StampedStream:
    """The newest stamp of a stream and the number of messages missing from it."""

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        self.lost = 0
        self._gaps_ns: deque[int] = deque(maxlen=RECENT_GAPS)

    def take(self, stamp_ns: int) -> bool:
        """Records a message's stamp; False if it repeats the previous one.

        Messages of one publisher arrive in order, so a stamp that goes back means that its clock did: the stream restarts.
        """
        if self.newest_ns is not None and stamp_ns < self.newest_ns:
            self.clear()
        previous_ns, self.newest_ns = self.newest_ns, stamp_ns
        if previous_ns == stamp_ns:
            return False
        if previous_ns is not None:
            self._gaps_ns.append(stamp_ns - previous_ns)
            self.lost += max(round((stamp_ns - previous_ns) / self._period_ns()) - 1, 0)
        return True

    def due_by(self, stamp_ns: int) -> bool:
        """Whether the message after the newest one may be stamped at or before `stamp_ns`; False while the period is not known."""
        if self.newest_ns is None or not self._gaps_ns:
            return False
        return self.newest_ns + (1 - EARLY_SHARE) * self._period_ns() <= stamp_ns

    def age_s(self, now_ns: int) -> float | None:
        """Age [s] of the newest message by its stamp; None before the first."""
        return None if self.newest_ns is None else (now_ns - self.newest_ns) / NANOSECONDS

    def clear(self) -> None:
        """Drops the stamps (the clock jumped); the count of lost messages stays."""
        self.newest_ns = None
        self._gaps_ns.clear()

    def _period_ns(self) -> int:
        """The publisher's period: a low quantile of the recent gaps.

        Not the shortest, which may be jitter (two frames stamped at once), and not the median, which on a link that loses
        more than half of the messages is a multiple of the period. The first few gaps say too little for a low quantile.
        """
        gaps = sorted(self._gaps_ns)
        return gaps[len(gaps) // 4 if len(gaps) >= 8 else len(gaps) // 2]
