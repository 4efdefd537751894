"""The clocks of a recording: the stamps in the messages, the recorder's log times, and how one follows from the other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.observation.readings import UnreadableMessageError

CLOCK_SET_S = 1.0  # a stamp that goes back further than this means that the clock was set
LONGEST_GAP_S = 60.0  # and one that goes ahead further: without a clock of its own, a computer starts in 1970 until NTP sets it
PAUSE_S = 1.0  # silence of all that is read, by log times and stamps, for which the recording paused: what happened meanwhile is unknown
LONGEST_PAUSE_S = 86_400.0  # of a recording; if both clocks go ahead further, they were set
OTHER_CLOCK_S = 5.0  # log times this far from the stamps are of another clock (simulated time)


def header_stamp(data: bytes) -> int:
    """The stamp [ns] of a message that begins with a header, from its CDR bytes; an image need not be decoded for it.

    Raises:
        UnreadableMessageError: it is too short for one.
    """
    if len(data) < 12:
        raise UnreadableMessageError(f"it has {len(data)} bytes, too few for a header")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * NANOSECONDS + nanoseconds


def passed_alike(stamps_ns: int, logs_ns: int) -> bool:
    """Whether so much time by the stamps passed by the recorder's clock too: then a publisher was silent, and no clock was set."""
    return 0 < stamps_ns < LONGEST_PAUSE_S * NANOSECONDS and abs(stamps_ns - logs_ns) < CLOCK_SET_S * NANOSECONDS


def clock_offset_s(joints_s: Sequence[float], others_s: Sequence[Sequence[float]]) -> float:
    """By how much the recorder's clock may be ahead of the one of the stamps [s]; 0 if log times are of another clock altogether.

    Delays tell no clock that is ahead from a slow network. So of what the joints show, no more counts than what every other stream shows
    too; a clock that is behind shows as a negative delay, which no network has.

    Args:
        joints_s: log times minus stamps of the joint states.
        others_s: of the other joint states and of the cameras, each.
    """
    if not len(joints_s) or abs(offset_s := float(np.median(joints_s))) >= OTHER_CLOCK_S:
        return 0.0
    return min([offset_s, *(max(0.0, float(np.median(delays))) for delays in others_s if len(delays))])


def clock_of_stamps(stamps_ns: Sequence[int], delays_s: Sequence[float]) -> Callable[[int], int]:
    """Log time -> time by the clock of the stamps [ns], which may be another one and run at another pace (a slow simulator).

    Args:
        stamps_ns: of messages, in order of arrival.
        delays_s: their log times minus their stamps.
    """
    stamps, delays = np.array(stamps_ns, np.int64), np.array(delays_s)
    if not len(stamps) or abs(float(np.median(delays))) < OTHER_CLOCK_S:
        return lambda log_ns: log_ns
    begin_ns, first_ns = stamps[0] + round(delays[0] * NANOSECONDS), stamps[0]
    logs_s = (stamps - first_ns) / NANOSECONDS + (delays - delays[0])
    order = np.argsort(logs_s, kind="stable")
    logs_s, stamps_s = logs_s[order], ((stamps - first_ns) / NANOSECONDS)[order]
    return lambda log_ns: int(first_ns) + round(float(np.interp((log_ns - begin_ns) / NANOSECONDS, logs_s, stamps_s)) * NANOSECONDS)
