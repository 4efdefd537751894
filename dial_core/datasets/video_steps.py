"""Frames of a video at given steps, in order, as the model's view of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from dial_core.errors import DialError
from dial_core.observation.camera_view import CameraView, fit_view


def picked_frames(video: Path, numbers: Sequence[int], rate_hz: float, view: CameraView) -> Iterator[np.ndarray]:
    """Frames `numbers` (not decreasing) of a video, fitted to `view`; one 1080p frame in memory at a time.

    Raises:
        DialError: the file is missing or broken, or ends before.
    """
    wanted = iter(numbers)
    number = next(wanted, None)
    try:
        with av.open(str(video), "r") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            assert stream.time_base is not None
            if number is not None and number > 0:
                container.seek(int((stream.start_time or 0) + number / rate_hz / stream.time_base), stream=stream)
            start_s = float((stream.start_time or 0) * stream.time_base)
            for decoded in container.decode(stream):
                index = round(((decoded.time or 0.0) - start_s) * rate_hz)
                fitted = None
                while number is not None and index >= number:
                    fitted = fit_view(decoded.to_ndarray(format="rgb24"), view) if fitted is None else fitted
                    yield fitted
                    number = next(wanted, None)
                if number is None:
                    return
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DialError(f"{video} cannot be decoded: {error}; restore the file or drop the episode") from error
    if number is not None:
        raise DialError(f"{video} ends before frame {number}; the video and the vectors do not belong together")


def video_size(video: Path) -> tuple[int, int]:
    """Height and width [px] of a video's frames. Raises DialError if it cannot be opened."""
    try:
        with av.open(str(video), "r") as container:
            context = container.streams.video[0].codec_context
            return context.height, context.width
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DialError(f"{video} cannot be opened: {error}; restore the file or drop the episode") from error
