"""The lead that measured latencies of trajectories ask for.

A controller replaces what it plays by what arrives, so a trajectory that arrives after it takes over makes the set-points jump, and no
sender can take it back. Of a latency only samples are known, one a motion: what it may be next is estimated from the longest and from how
far they scatter, and while few are known it is taken to be long. Of some motions no more is known than that they came in time.
"""

from collections import deque

MEASURED_MOTIONS = 60  # nine seconds of chunks
LEAD_MARGIN_S = 0.01  # a lead is longer than the longest latency by the largest of this,
LEAD_MARGIN_SHARE = 0.5  # this share of it,
LEAD_MARGIN_SPREAD = 1.5  # and this multiple of the difference between longest and shortest: on a busy machine they scatter
CHUNK_MARGIN_SPREAD = 2.5  # instead, for a chunk: unlike a stop it may come later, or not at all
LONGEST_LEAD_S = 0.3  # where that does not cover the share, nothing is spliced in motion: the robot comes to rest first
CAUTIOUS_LEAD_S = 0.2  # from rest, where the latency may have grown unmeasured, until so many motions have been measured:
CAUTIOUS_MOTIONS = 10


class Latencies:
    """Times from publishing a motion until controllers executed it [s], of each motion the longest of all controllers."""

    def __init__(self) -> None:
        self._motions: deque[tuple[int, float | None]] = deque(maxlen=MEASURED_MOTIONS)  # when sent [ns], latency [s]; None: in time
        self._cautious = CAUTIOUS_MOTIONS  # motions that are measured before the latency counts as known
        self._after_slowness = 0  # the same after a restart
        self._before_s: float | None = None  # longest before the restart, while nothing has been measured since

    def note(self, sent_ns: int, latency_s: float | None) -> None:
        """A controller executes the motion that was sent at `sent_ns`. `latency_s`: None if all that is known is that it came in time."""
        if self._motions and self._motions[-1][0] == sent_ns:
            known = [each for each in (latency_s, self._motions[-1][1]) if each is not None]
            self._motions[-1] = sent_ns, max(known, default=None)
            return
        self._motions.append((sent_ns, latency_s))
        self._cautious = max(self._cautious - 1, 0)
        self._after_slowness = max(self._after_slowness - 1, 0)

    def begin_cautiously(self) -> None:
        """A motion begins from rest: the latency may have changed since the last one."""
        self._cautious = CAUTIOUS_MOTIONS

    def restart(self) -> None:
        """The machine was too slow, and the robot has come to rest: drops what was measured, and keeps the longest lead for a while."""
        self._before_s = self.longest_s
        self._motions.clear()
        self._after_slowness = CAUTIOUS_MOTIONS

    @property
    def longest_s(self) -> float | None:
        """Longest of the last motions, or before a restart if none has been measured since [s]; None: none ever was."""
        return max(self._measured_s, default=None if self._motions else self._before_s)

    @property
    def too_long(self) -> bool:
        """Whether even the longest lead is not LEAD_MARGIN_SHARE longer than the longest latency."""
        return bool(self._measured_s) and (self.longest_s or 0.0) * (1 + LEAD_MARGIN_SHARE) > LONGEST_LEAD_S

    @property
    def stop_lead_s(self) -> float:
        """Time that a stop must be sent before it takes over, by what was measured [s]; 0 if nothing was."""
        return self._lead_s(LEAD_MARGIN_SPREAD)

    @property
    def chunk_lead_s(self) -> float:
        """The same of a chunk, and at least CAUTIOUS_LEAD_S from rest on until enough motions have been measured [s]."""
        return max(self._lead_s(CHUNK_MARGIN_SPREAD), CAUTIOUS_LEAD_S if self._cautious else 0.0)

    @property
    def _measured_s(self) -> list[float]:
        return [latency_s for _, latency_s in self._motions if latency_s is not None]

    def _lead_s(self, spreads: float) -> float:
        if self._after_slowness:
            return LONGEST_LEAD_S
        if (longest_s := self.longest_s) is None:
            return 0.0
        spread_s = longest_s - min(self._measured_s, default=longest_s)
        margin_s = max(LEAD_MARGIN_S, LEAD_MARGIN_SHARE * longest_s, spreads * spread_s)
        return min(longest_s + margin_s, LONGEST_LEAD_S)
