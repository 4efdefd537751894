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

    def unconfirmed_by(self, controller: ReportingController) -> bool:
        """Whether a controller has not shown yet whether it plays the motion, or has lost it."""
        return not controller.decided or (controller.plays is not self.sent and self._open(controller))

    def moves_on(self, now_ns: int) -> bool:
        """Whether a controller has certainly lost the motion, and moves by an earlier one."""
        lost = [c for c in self.missed_by if c.decided and c.plays is not None]
        return any(c.plays.motion.sample(now_ns)[1][c.columns].any() for c in lost if c.plays is not None)

    @property
    def missed_by(self) -> list[ReportingController]:
        """Controllers that have said, after the motion should have taken over, that they play something else."""
        return [c for c in self.controllers if c.plays is not self.sent and not self._open(c)]

    def in_doubt(self, now_ns: int) -> bool:
        """Whether a controller may have the motion by now, or not: until it reports, nothing can be spliced into that.

        One that missed motions before, or has not reported since a simulator's clock went forward.
        """
        oldest_ns = now_ns - DOUBT_S * NANOSECONDS
        waiting = [c for c in self.controllers if max(self.sent.takes_over_ns, c.skipped_to_ns or 0) >= oldest_ns]
        uncertain = [c for c in waiting if c.wrong_since_ns is not None or c.skipped_to_ns is not None]
        return any(c.plays is not self.sent and self._open(c) for c in uncertain)

    def overdue(self, now_ns: int, usual_s: float) -> bool:
        """Whether a controller reports and has shown another motion later than trajectories usually take, `usual_s`.

        What leaves the motion before it takes over is the same for both: only what leaves it later must wait for the next report.
        """
        if now_ns > self.sent.takes_over_ns + DOUBT_S * NANOSECONDS:
            return False
        overdue_ns = self.sent.sent_ns + usual_s * NANOSECONDS
        reporting = [c for c in self.controllers if not c.silent_for_s(now_ns) and (c.reported_ns or 0) > overdue_ns]
        return any(c.plays is not self.sent and self._open(c) for c in reporting)

    def pending_s(self, now_ns: int) -> float:
        """How long the motion has been on its way [s]; 0 if all controllers have it, or have reported since it took over.

        What is still undecided then is not on its way: the controller is where two motions are, this one or the one before.
        """
        pending = any((not c.decided or c.plays is not self.sent) and self._open(c) for c in self.controllers)
        return (now_ns - self.sent.sent_ns) / NANOSECONDS if pending else 0.0

    def _open(self, controller: ReportingController) -> bool:
        return controller.skipped_to_ns is not None or (controller.reported_ns or 0) <= self.resolved_ns
