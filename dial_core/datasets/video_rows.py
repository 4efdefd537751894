"""Which frame of a video belongs to each row of a table, by the times at which frames are shown.

A video may be one episode's or hold many; its clock need not be the table's (muxed at another rate, 29.97 against 30), frames may be
missing, too many, or have stopped for a while. The rule, in this order:

1. As many frames as rows, evenly spaced: row k is frame k, whatever rate the file claims. In a file of many episodes they follow one
   another, unless the metadata place every episode on a frame and the last one's end at the file's: then those begin there, and one may
   have frames too many where another has too few.
2. Otherwise by time: a row takes the newest frame that is not after it. A camera at the rows' own rate may jitter by half a period. A frame
   older than `MAX_FRAME_AGE_S` is refused: the camera hung, and a robot would have stopped.
3. Rows whose timestamps begin late lie that much later in the video, if it reaches so far: they were cut from the beginning of an episode.
4. A video that ends more than one frame before its rows is refused: which frames are missing is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from dial_core.datasets.open_videos import OPEN_VIDEOS
from dial_core.errors import DialError
from dial_core.files.integrity import require_content

MAX_FRAME_AGE_S = 0.15
SAME_RATE = 0.05  # rates that differ by this share are one rate with jitter
ON_FRAME = 0.1  # of a row period: metadata that name a frame's time do it as closely
SEEK_BACK_S = (0.0, 1.0, 4.0, 16.0, math.inf)  # before a frame where its decoding begins, until it is found; last: the start of the video
JITTER, ROUNDING = 0.499, 0.05  # of a row period: of frames that belong to one row each, and of times in whole milliseconds


@dataclass(frozen=True)
class RowFrames:
    """The frames of `video` that the rows of an episode see: their places in the order of display, int64 (T,)."""

    video: Path
    numbers: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width [px] of the frames. Raises DialError if the video cannot be opened."""
        return video_size(self.video)

    @property
    def shown_s(self) -> np.ndarray:
        """When the rows' frames are shown by the video's own clock [s], float64 (T,)."""
        return frame_times(self.video)[self.numbers]

    def frames(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames of `rows` (not decreasing), uint8 (H, W, 3); one frame in memory at a time.

        Raises:
            DialError: the video cannot be decoded there.
        """
        wanted = [int(self.numbers[row]) for row in rows]
        return _decoded(self.video, wanted) if wanted else iter(())


def one_video(video: Path, rows: int, rate_hz: float, begin_s: float = 0.0) -> RowFrames:
    """The frames of `rows` rows at `rate_hz` in a video of their own. `begin_s`: the first row's timestamp [s].

    Raises:
        DialError: the file is missing or broken, or some row has no frame; the message says when and by how much.
    """
    times = frame_times(video)
    times = times - times[0]
    late_s = _late(begin_s, rows, rate_hz, float(times[-1])) if len(times) != rows else 0.0
    return RowFrames(video, _matched(times - late_s, rows, rate_hz, video))


def shared_video(
    video: Path,
    lengths: Sequence[int],
    bounds_s: Sequence[float],
    place: int,
    rate_hz: float,
    begin_s: float = 0.0,
) -> RowFrames:
    """The frames of one episode in a video of several.

    Args:
        lengths: rows of all episodes in the file, in its order.
        bounds_s: where the metadata say that each episode begins, and last where the file ends; infinity if they do not say it. If the
            file has exactly one frame for each row, they count only where all lie on frames: writers that add up rounded durations drift.
        place: of this episode among them.
        begin_s: the first row's timestamp [s].

    Raises:
        DialError: as `one_video`.
    """
    times = frame_times(video)
    times = times - times[0]
    rows, start_s = lengths[place], bounds_s[place]
    if len(times) == sum(lengths):
        firsts = _on_frames(times, bounds_s, rate_hz)
        first, last = np.cumsum([0, *lengths])[place : place + 2] if firsts is None else firsts[place : place + 2]
        own = times[first:last]
        return RowFrames(video, first + _matched(own - own[0], rows, rate_hz, video))
    end_s = bounds_s[place + 1] if place + 1 < len(lengths) else math.inf
    late_s = _late(begin_s, rows, rate_hz, min(float(times[-1]), end_s - 1.0 / rate_hz) - start_s)
    local = times - start_s - late_s
    first = int(np.searchsorted(local, -0.5 / rate_hz))
    own_s = min(rows / rate_hz, end_s - start_s - late_s if end_s > start_s else math.inf)  # then the frames of the next one begin
    last = int(np.searchsorted(local, own_s - 0.5 / rate_hz))
    if first == len(times):
        raise DialError(f"{video} ends at {times[-1]:.2f} s, the episode begins at {start_s:.2f} s; video and rows do not belong together")
    return RowFrames(video, first + _matched(local[first:last], rows, rate_hz, video))


def _on_frames(times: np.ndarray, bounds_s: Sequence[float], rate_hz: float) -> np.ndarray | None:
    """The frames at `times` (F,) at which episodes begin (N,) and F, if all N + 1 bounds lie on a frame or the file's end; else None."""
    bounds, shown = np.array(bounds_s), np.append(times, times[-1] + 1.0 / rate_hz)
    after = np.searchsorted(shown, bounds).clip(1, len(shown) - 1)
    closer = np.where(bounds - shown[after - 1] <= shown[after] - bounds, after - 1, after)
    nearest = np.searchsorted(shown, shown[closer])  # of frames at one time the first
    on_frames = np.abs(shown[nearest] - bounds) <= ON_FRAME / rate_hz
    apart = bool((np.diff(nearest) > 0).all()) and nearest[0] == 0 and nearest[-1] == len(times)
    return nearest if apart and on_frames.all() else None


def _late(begin_s: float, rows: int, rate_hz: float, last_s: float) -> float:
    """By how much [s] rows whose timestamps begin at `begin_s` lie after the first frame; 0 if the last frame, at `last_s`, is too early.

    Clocks that begin elsewhere (1970, the recording, the episode before) say nothing.
    """
    if not 0.5 / rate_hz < begin_s < math.inf:
        return 0.0
    return begin_s if begin_s + (rows - 1) / rate_hz <= last_s + 1.5 / rate_hz else 0.0


def _is_own_rate(times: np.ndarray, period_s: float) -> bool:
    """Whether frames at `times` (F,) [s] come at the rows' rate.

    By what is usual over one period, which single missing frames do not change, or over ten, which jitter does not: 25 and 41 ms by turns.
    """
    counts = [min(count, len(times) - 1) for count in (1, 10)]
    return not all(counts) or any(abs(np.median(times[count:] - times[:-count]) / (count * period_s) - 1.0) < SAME_RATE for count in counts)


def _matched(times: np.ndarray, rows: int, rate_hz: float, video: Path) -> np.ndarray:
    """Frame of each row (T,) among the frames shown at `times` (F,) [s] after the first row."""
    if not len(times):
        raise DialError(f"{video} has no frame at the time of the episode; video and rows do not belong together")
    if len(times) == rows and _evenly_spaced(times):
        return np.arange(rows)
    period_s = 1.0 / rate_hz
    due = np.arange(rows) * period_s
    jitter = JITTER if _is_own_rate(times, period_s) else ROUNDING
    numbers = np.searchsorted(times, due + jitter * period_s, side="right") - 1
    if (numbers < 0).any():
        raise DialError(f"{video} shows its first frame {times[0]:.2f} s after the first row")
    _require_fresh(times, numbers, due, rate_hz, video)
    return numbers


def _require_fresh(times: np.ndarray, numbers: np.ndarray, due: np.ndarray, rate_hz: float, video: Path) -> None:
    """Refuses a video that ends too early, or in which the newest frame of a row is too old."""
    own_period_s = float(np.median(np.diff(times))) if len(times) > 1 else 1.0 / rate_hz
    missing_s = due[-1] - times[-1]
    if missing_s > max(own_period_s, 1.0 / rate_hz) * 1.5:
        raise DialError(
            f"{video} ends {missing_s:.2f} s before its {len(due)} rows ({len(times)} frames); video and rows do not belong together"
        )
    age_s = due - times[numbers]
    if (age_s > MAX_FRAME_AGE_S).any():
        row = int(np.argmax(age_s > MAX_FRAME_AGE_S))
        gap_s = float(np.diff(times)[numbers[row]]) if numbers[row] + 1 < len(times) else float(age_s.max())
        raise DialError(
            f"{video} has no frame for {gap_s:.2f} s from {times[numbers[row]]:.2f} s (row {row}): the camera hung. "
            f"At most {MAX_FRAME_AGE_S:g} s are accepted, as on the robot"
        )


def _evenly_spaced(times: np.ndarray) -> bool:
    """Whether no frame lies more than half a period from where equal spacing would put it."""
    if len(times) < 3:
        return True
    period_s = (times[-1] - times[0]) / (len(times) - 1)
    return bool(np.abs(times - times[0] - period_s * np.arange(len(times))).max() <= 0.5 * period_s)


def video_size(video: Path) -> tuple[int, int]:
    """Height and width [px] of a video's frames as they are shown. Raises DialError if the first one cannot be decoded."""
    try:
        with OPEN_VIDEOS.open(video) as container:
            height, width = shown_pixels(next(container.decode(video=0)), video).shape[:2]
            return height, width
    except (av.FFmpegError, OSError, IndexError, StopIteration) as error:
        require_content(video)
        raise DialError(f"{video} cannot be read: {_reason(error)}; restore the file or drop the episode") from error


def frame_times(video: Path) -> np.ndarray:
    """When each frame of a video is shown [s], ascending (F,); found without decoding.

    Raises:
        DialError: the file is missing, broken, or has no frame.
    """
    try:
        facts = video.stat()
    except OSError as error:
        raise DialError(f"{video} is missing; restore the file or drop the episode") from error
    return _frame_times(video, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _frame_times(video: Path, size: int, changed_ns: int) -> np.ndarray:
    try:
        with OPEN_VIDEOS.open(video) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            shown = sorted(
                packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None and not packet.is_discard
            )
            times = np.array(shown, np.float64) * float(stream.time_base)
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        require_content(video)
        raise DialError(f"{video} cannot be read: {_reason(error)}; restore the file or drop the episode") from error
    if not len(times):
        raise DialError(f"{video} has no frame")
    times.setflags(write=False)
    return times


def _decoded(video: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """Frames by place in the order of display (not decreasing). Raises DialError if one of them is not decoded: no other stands for it."""
    times = frame_times(video)
    steps = np.diff(times)
    half_s = 0.5 * steps[steps > 0].min(initial=2.0)
    wanted = iter(times[list(numbers)])
    wanted_s = next(wanted, None)
    try:
        for decoded in _decoded_from(video, times[numbers[0]], times[0], half_s):
            shown_s, pixels = decoded.time or 0.0, None
            if wanted_s is not None and shown_s > wanted_s + half_s:
                break
            while wanted_s is not None and abs(shown_s - wanted_s) < half_s:
                pixels = shown_pixels(decoded, video) if pixels is None else pixels
                yield pixels
                wanted_s = next(wanted, None)
            if wanted_s is None:
                return
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise DialError(f"{video} cannot be decoded: {_reason(error)}; restore the file or drop the episode") from error
    raise DialError(f"{video} cannot be decoded at {wanted_s:.3f} s; restore the file or drop the episode")


def _decoded_from(video: Path, wanted_s: float, begins_s: float, half_s: float) -> Iterator[av.VideoFrame]:
    """Decoded frames, from that of `wanted_s` at the latest, of a video that begins at `begins_s`.

    A seek finds the packets of a time, and may land on a key frame that is shown later (B-frames, open groups, MPEG-TS): then one lands
    further back.
    """
    for back_s in SEEK_BACK_S:
        with OPEN_VIDEOS.open(video) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            assert stream.time_base is not None
            at_begin = wanted_s - back_s <= begins_s
            if not at_begin:
                container.seek(int((wanted_s - back_s) / stream.time_base), stream=stream)
            frames = container.decode(stream)
            first = next(frames, None)
            if at_begin or (first is not None and (first.time or 0.0) < wanted_s + half_s):
                yield from () if first is None else (first,)
                yield from frames
                return


def shown_pixels(frame: av.VideoFrame, video: Path) -> np.ndarray:
    """Pixels of a frame, turned as its container says that it is to be shown: telephones film sideways."""
    if frame.rotation % 90:
        raise DialError(f"{video} is to be shown turned by {frame.rotation} degrees; only quarter turns are read")
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
