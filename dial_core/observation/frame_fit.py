"""Frames of any size to the size that the model sees, decoded one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image

from dial_core.errors import DialError

Fit = Literal["pad", "crop", "stretch"]
FITS = ("pad", "crop", "stretch")


def fit_frame(frame: np.ndarray, height: int, width: int, fit: Fit = "pad") -> np.ndarray:
    """A frame uint8 (H, W, 3) at (height, width, 3), every pixel an average of what it covers.

    `pad` keeps all of the view between black bars, `crop` fills the frame and loses the edges, `stretch` bends it.
    """
    high, wide = frame.shape[:2]
    if (high, wide) == (height, width):
        return frame
    image = Image.fromarray(np.ascontiguousarray(frame))
    if fit == "stretch":
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    scale = (min if fit == "pad" else max)(height / high, width / wide)
    inner = max(1, round(wide * scale)), max(1, round(high * scale))
    resized = np.asarray(image.resize(inner, Image.Resampling.BILINEAR))
    if fit == "crop":
        top, left = (inner[1] - height) // 2, (inner[0] - width) // 2
        return resized[top : top + height, left : left + width]
    padded = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    padded[top : top + inner[1], left : left + inner[0]] = resized
    return padded


def picked_frames(video: Path, numbers: Sequence[int], rate_hz: float, height: int, width: int, fit: Fit = "pad") -> Iterator[np.ndarray]:
    """Frames `numbers` (not decreasing) of a video, fitted; one 1080p frame in memory at a time.

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
                    fitted = fit_frame(decoded.to_ndarray(format="rgb24"), height, width, fit) if fitted is None else fitted
                    yield fitted
                    number = next(wanted, None)
                if number is None:
                    return
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DialError(f"{video} cannot be decoded: {error}; restore the file or drop the episode") from error
    if number is not None:
        raise DialError(f"{video} ends before frame {number}; the video and the vectors do not belong together")
