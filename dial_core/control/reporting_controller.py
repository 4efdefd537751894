"""What one controller has reported of what it executes."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.control.played_motion import Earlier, Played, SentMotion, by_origin, by_position
from dial_core.control.robot_clock import REORDERED_S

REMEMBERED_GAPS = 10
RESTING_RAD = 1e-9  # between two reports: a controller at rest reports what its trajectory ended with, exactly
SILENT_S, SILENT_PERIODS = 0.2, 3  # a controller is silent after so long, or so many of its usual periods, without a report
LAG_S = 0.3  # measured joints follow what is commanded within this time


@dataclass
class ReportingController:
    """What is known of one controller: its columns, and its newest report."""

    columns: np.ndarray
    reported_ns: int | None = None
    skipped_to_ns: int | None = None  # a simulator's clock went forward to this time since, and the controller with it
    position: np.ndarray = field(default_factory=lambda: np.empty(0))
    moved: bool = False  # between its last two reports
    plays: SentMotion | None = None  # None: nothing of what was sent
    decided: bool = True  # False: it may play another motion that is in the same place
    names_origin: bool = False  # it has ever named the origin of what it plays
    early_s: float | None = None  # its references are of so long after their stamps, where it names no origin
    begun_ns: int = 0  # when the newest motion was sent that it has ever been seen to play
    wrong_since_ns: int | None = None
    references: deque[tuple[int, np.ndarray]] = field(default_factory=deque)  # reported within LAG_S: time [ns], position [rad]
    apart_since_ns: int | None = None  # measured joints are far from all of them
    refused: str = ""  # why its newest report was not taken
    gaps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED_GAPS))  # between reports

    def note_position(self, time_ns: int, position: np.ndarray) -> None:
        """Takes in the reference of its newest report."""
        self.reported_ns, self.position = time_ns, position
        if self.skipped_to_ns is not None and time_ns > self.skipped_to_ns - round(REORDERED_S * NANOSECONDS):
            self.skipped_to_ns = None  # one of before, on its way since, says nothing
        self.references.append((time_ns, position))
        while not 0 <= time_ns - self.references[0][0] <= LAG_S * NANOSECONDS:
            self.references.popleft()

    def off(self, measured: np.ndarray) -> np.ndarray:
        """How far measured joints (J',) [rad] are from its references of the last LAG_S: (J',) [rad], not positive if between."""
        references = np.array([position for _, position in self.references])
        return np.maximum(references.min(0) - measured, measured - references.max(0))

    def note_apart(self, time_ns: int | None) -> None:
        """Its joints were elsewhere at `time_ns`; None: they are not."""
        if time_ns is None or self.apart_since_ns is None:
            self.apart_since_ns = time_ns

    def apart_s(self, measured_ns: int | None) -> float:
        """For how long the joints were elsewhere [s], up to the joint state of `measured_ns`; 0 if they are not."""
        if self.apart_since_ns is None or measured_ns is None:
            return 0.0
        return (measured_ns - self.apart_since_ns) / NANOSECONDS

    def forget_sent(self) -> None:
        """Nothing was sent that it could play."""
        self.plays = self.wrong_since_ns = None
        self.decided = True

    def reset(self) -> None:
        """As new, except for what is known of how it reports: the robot's time began again."""
        self.forget_sent()
        self.reported_ns = self.skipped_to_ns = self.apart_since_ns = None
        self.references.clear()
        self.begun_ns = 0

    def shift(self, step_ns: int) -> None:
        """The robot's clock was set by `step_ns`; `plays` is for the caller to replace."""
        self.begun_ns += step_ns if self.begun_ns else 0  # 0: it was never seen to play a motion
        self.references = deque((time_ns + step_ns, position) for time_ns, position in self.references)
        self.reported_ns, self.wrong_since_ns, self.apart_since_ns = (
            None if time_ns is None else time_ns + step_ns for time_ns in (self.reported_ns, self.wrong_since_ns, self.apart_since_ns)
        )

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
        before_ns = self.reported_ns
        stood_s = None if before_ns is None or time_ns <= before_ns or self.moved_to(position) else (time_ns - before_ns) / NANOSECONDS
        earlier = Earlier(self.early_s, stood_s, self.plays if self.wrong_since_ns is not None else None)
        return by_position(possible, self.columns, time_ns, position, earlier)

    def moved_to(self, position: np.ndarray) -> bool:
        """Whether the reference was elsewhere in the report before."""
        known = self.reported_ns is not None and self.position.shape == position.shape
        return known and bool((np.abs(position - self.position) > RESTING_RAD).any())
