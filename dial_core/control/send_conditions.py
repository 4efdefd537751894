"""When a motion may be sent: in time, by a clock that is known, for an observation that is past."""

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError

AHEAD_S = 0.01  # an observation stamped further ahead than this is refused; below, clocks are taken to agree
JUMP_S = 0.5  # a clock that goes back so far was set back; less is a correction of what it was estimated to show between two ticks


class SpliceMissedError(DialError):
    """A chunk could not be made ready in time; nothing was sent and the running motion continues."""


class MotionStartingError(SpliceMissedError):
    """A chunk comes while a motion from the measured joints begins; nothing was sent."""


def keeps_lead(lead_s: float, ready_ns: int, takes_over_ns: int) -> bool:
    """Whether a motion that is ready takes over after the lead, or later."""
    return ready_ns + round(lead_s * NANOSECONDS) <= takes_over_ns


def require_known(now_ns: int | None) -> int:
    """The robot's time. Raises SpliceMissedError while it is unknown."""
    if now_ns is None:
        raise SpliceMissedError("a clock has stepped and no joint state has arrived since; the chunk is not sent")
    return now_ns


def require_past(stamp_ns: int, now_ns: int) -> None:
    """Raises SpliceMissedError if an observation is stamped ahead of the robot's clock: controllers would coast to its first point."""
    ahead_s = (stamp_ns - now_ns) / NANOSECONDS
    if ahead_s > AHEAD_S:
        step = "the clock was set back: " if ahead_s > JUMP_S else ""
        raise SpliceMissedError(f"{step}the observation is stamped {ahead_s:.2f} s ahead of the robot's clock; its chunk is not sent")


def require_no_step_back(earlier_ns: int, now_ns: int) -> None:
    """Raises SpliceMissedError if the clock was set back in between."""
    if now_ns < earlier_ns - JUMP_S * NANOSECONDS:
        raise SpliceMissedError("the clock was set back while the chunk was made; it is not sent")


def require_known_execution(execution: ExecutedMotion, now_ns: int) -> None:
    """Raises SpliceMissedError if it is not known what a controller executes: a chunk that is spliced into it could be a step."""
    if silent := execution.silent(now_ns):
        raise SpliceMissedError(f"{', '.join(silent)} has stopped reporting what it executes; the chunk is not sent")
    if moved := execution.moved_by_others(now_ns):
        raise SpliceMissedError(f"{', '.join(moved)} moves by what was not sent from here; the chunk waits until it rests")
    if execution.unconfirmed(now_ns):
        raise SpliceMissedError("a controller has not reported yet whether it plays the last trajectory; the chunk is not sent")


def require_joints_where_reported(execution: ExecutedMotion) -> None:
    """Raises SpliceMissedError if a motion would begin from rest while joints are not where controllers report, by the newest joint state.

    Not by that of the observation, which may be from before the robot came to rest.
    """
    if execution.apart:
        raise SpliceMissedError(f"{'; '.join(execution.apart.values())}; no motion begins from there")
