"""Messages of a bag that could not be used, by topic and reason."""

from __future__ import annotations

import re
from collections import Counter

from dial_core.control.motion import NANOSECONDS

_VARYING = re.compile(r"(?<![\dx.])\d+(?![\dx.])")  # bytes and places differ from message to message; sizes such as 48x64 are kept apart


class LeftOut:
    """Counts messages with one reason, and remembers when the first of them was received."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], tuple[str, float]] = {}
        self._began_ns: int | None = None

    def begin(self, log_ns: int) -> None:
        """Notes when the recording began [ns]; the first call counts."""
        self._began_ns = log_ns if self._began_ns is None else self._began_ns

    def add(self, topic: str, why: str, log_ns: int) -> None:
        """Counts one message."""
        key = (topic, _VARYING.sub("#", why))
        self._counts[key] += 1
        self._first.setdefault(key, (why, (log_ns - (self._began_ns or log_ns)) / NANOSECONDS))

    def sentences(self, most: int | None = None, of: str | None = None) -> list[str]:
        """What was left out, the most frequent reason first: how many of which topic, why, and when the first [s after the begin].

        Args:
            most: number of sentences; None: all.
            of: a topic; None: all.
        """
        counts = [(key, count) for key, count in self._counts.most_common() if of in (None, key[0])]
        return [
            f"{count} messages of {topic}: {why} ({'the first ' if count > 1 else ''}at {at_s:.2f} s)"
            for (topic, _), count, (why, at_s) in ((key, count, self._first[key]) for key, count in counts[:most])
        ]
