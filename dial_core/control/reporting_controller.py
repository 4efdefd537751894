"""What one controller has reported of what it executes."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.control.played_motion import Earlier, Played, SentMotion, by_origin, by_position

REMEMBERED_GAPS = 10
RESTING_RAD = 1e-9  # between two reports: a controller at rest reports what its trajectory ended with, exactly
SILENT_S, SILENT_PERIODS = 0.2, 3  # a controller is silent after so long, or so many of its usual periods, without a report


@dataclass
class ReportingController:
    """What is known of one controller: its columns, and its newest report."""

    columns: np.ndarray
    reported_ns: int | None = None
    position: np.ndarray = field(default_factory=lambda: np.empty(0))
    moved: bool = False  # between its last two reports
    plays: SentMotion | None = None  # None: nothing of what was sent
    decided: bool = True  # False: it may play another motion that is in the same place
    names_origin: bool = False  # it has ever named the origin of what it plays
    early_s: float | None = None  # its references are of so long after their stamps, where it names no origin
    begun_ns: int = 0  # when the newest motion was sent that it has ever been seen to play
    wrong_since_ns: int | None = None
    refused: str = ""  # why its newest report was not taken
    gaps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED_GAPS))  # between reports

    def silent_for_s(self, now_ns: int) -> float:
        """How long it has not reported [s]; 0 if it never did, or not longer than usual."""
        if self.reported_ns is None:
            return 0.0
        usual_ns = float(np.median(self.gaps_ns)) if self.gaps_ns else 0.0
        since_s = (now_ns - self.reported_ns) / NANOSECONDS
        return since_s if since_s > max(SILENT_S, SILENT_PERIODS * usual_ns / NANOSECONDS) else 0.0

    def played(self, sent: Iterable[SentMotion], time_ns: int, origin_ns: int | None, position: np.ndarray) -> Played:
        """What a report shows that it plays. `sent`: in order."""
        if origin_ns is not None:
            return by_origin(sent, self.columns, time_ns, origin_ns, position)
        if self.names_origin:
            return Played(None)
        possible = [each for each in sent if self.begun_ns <= each.sent_ns <= time_ns and each.motion.begin_ns <= time_ns]
        moved = self.moved_to(position) if self.reported_ns is not None and time_ns > self.reported_ns else None
        return by_position(
            possible, self.columns, time_ns, position, Earlier(self.early_s, moved, self.plays if self.wrong_since_ns is not None else None)
        )

    def moved_to(self, position: np.ndarray) -> bool:
        """Whether the reference was elsewhere in the report before."""
        known = self.reported_ns is not None and self.position.shape == position.shape
        return known and bool((np.abs(position - self.position) > RESTING_RAD).any())
