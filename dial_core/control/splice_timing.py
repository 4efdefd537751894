"""When a motion takes over that is prepared now: after its preparation, and a lead for its way to the controllers."""

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.latencies import CAUTIOUS_LEAD_S, LEAD_MARGIN_SHARE, LONGEST_LEAD_S
from dial_core.control.motion import NANOSECONDS
from dial_core.control.recent_durations import RecentDurations

LONGEST_PREPARATION_S = 0.15  # longer ones are not taken into account: one hiccup must not put off the next chunks beyond their horizon
SOFT_START_S = 0.08  # a motion from the measured joints begins so much later, see MotionPlan.follow


class SpliceTiming:
    """Leads by configuration and by what is measured; all times are the robot's."""

    def __init__(self, least_lead_s: float, step_s: float, execution: ExecutedMotion | None) -> None:
        """Nothing is measured yet. `step_s`: of a chunk [s]; `execution`: None where nothing is known of what controllers execute."""
        self._least_lead_s, self._step_s, self._execution = least_lead_s, step_s, execution
        self._latencies, self._preparations = RecentDurations(), RecentDurations()

    @property
    def lead_s(self) -> float:
        """Time kept from publishing a chunk to its taking over [s]: the configured one, or what the measured latencies ask for."""
        known = self._execution is not None and self._execution.reports_any
        return max(self._least_lead_s, self._execution.chunk_lead_s) if known and self._execution else self._least_lead_s

    def lead_from_rest_s(self, now_ns: int, last_target_ns: int) -> float:
        """The same from rest, where it makes no chunk too late: nothing would be measured there that shortens it again.

        At least CAUTIOUS_LEAD_S, or what is asked for; SOFT_START_S comes on top of it.
        """
        left_s = (last_target_ns - self.takes_over_ns(now_ns, SOFT_START_S)) / NANOSECONDS - self._step_s
        return min(self.lead_s, max(left_s, CAUTIOUS_LEAD_S))

    def stop_lead_s(self, now_ns: int) -> float:
        """The same for a stop that is sent now, which is not put off by caution, but by what is still on its way longer than usual."""
        if self._execution is None:
            return self._least_lead_s
        pending_s = self._execution.pending_s(now_ns) * (1 + LEAD_MARGIN_SHARE)
        return max(self._least_lead_s, self._execution.latencies.stop_lead_s, min(pending_s, LONGEST_LEAD_S))

    @property
    def estimated_delay_s(self) -> float:
        """Estimated time from an observation to the moment its chunk takes over [s]; one step before the first chunk."""
        latency_s = self._latencies.longest_s
        return self._step_s if latency_s is None else latency_s + self.lead_s

    def takes_over_ns(self, now_ns: int, lead_s: float) -> int:
        """When a motion takes over whose preparation begins now: after preparation and lead."""
        preparation_s = min(self._preparations.longest_s or 0.0, LONGEST_PREPARATION_S)
        return now_ns + round((preparation_s + lead_s) * NANOSECONDS)

    def note_preparation(self, begun_ns: int, ready_ns: int) -> None:
        """A motion was made ready to be published within this time."""
        self._preparations.note(begun_ns, ready_ns)

    def note_chunk(self, stamp_ns: int, ready_ns: int) -> None:
        """The chunk of the observation at `stamp_ns` was published."""
        self._latencies.note(stamp_ns, ready_ns)
