"""Whether controllers play the newest motion that was sent: they do, they missed it, or it is not known yet."""

from collections.abc import Collection
from dataclasses import dataclass

from dial_core.control.motion import NANOSECONDS
from dial_core.control.played_motion import SentMotion
from dial_core.control.reporting_controller import ReportingController

GRACE_S = 0.01  # after a motion takes over, before a controller that does not report it has missed it
DOUBT_S = 0.3  # after a motion takes over, or the clock went forward, a controller must have reported


@dataclass(frozen=True)
class NewestMotion:
    """The motion that was sent last, and the controllers that report what they execute. All times are the robot's."""

    sent: SentMotion
    controllers: Collection[ReportingController]

    @property
    def resolved_ns(self) -> int:
        """A report of later than this shows whether its controller plays the motion [ns]."""
        return self.sent.takes_over_ns + round(GRACE_S * NANOSECONDS)

    @property
    def unconfirmed(self) -> bool:
        """Whether a controller has not shown yet whether it plays the motion, or has lost it."""
        return any(not c.decided or (c.plays is not self.sent and self._open(c)) for c in self.controllers)

    @property
    def missed_by(self) -> list[ReportingController]:
        """Controllers that have said, after the motion should have taken over, that they play something else."""
        return [c for c in self.controllers if c.plays is not self.sent and not self._open(c)]

    def in_doubt(self, now_ns: int, usual_s: float) -> bool:
        """Whether a controller may have the motion by now, or not: until it reports, nothing can be spliced into that.

        One that missed motions before, or whose last report shows another one later than trajectories usually take, `usual_s`.
        """
        overdue_ns, oldest_ns = self.sent.sent_ns + usual_s * NANOSECONDS, now_ns - DOUBT_S * NANOSECONDS
        waiting = [c for c in self.controllers if max(self.sent.takes_over_ns, c.skipped_to_ns or 0) >= oldest_ns]
        return any(c.plays is not self.sent and self._open(c) and c.may_miss(overdue_ns) for c in waiting)

    def pending_s(self, now_ns: int) -> float:
        """How long the motion has been on its way [s]; 0 if all controllers have it, or have reported since it took over.

        What is still undecided then is not on its way: the controller is where two motions are, this one or the one before.
        """
        pending = any((not c.decided or c.plays is not self.sent) and self._open(c) for c in self.controllers)
        return (now_ns - self.sent.sent_ns) / NANOSECONDS if pending else 0.0

    def _open(self, controller: ReportingController) -> bool:
        return controller.skipped_to_ns is not None or (controller.reported_ns or 0) <= self.resolved_ns
