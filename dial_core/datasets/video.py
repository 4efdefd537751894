"""Frames to mp4 files and back, keeping the colours of small renderings so that ViT features survive."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Final

import av
import numpy as np

from dial_core.errors import DialError

# At 96x96 chroma subsampling smears a can's colour over its neighbours: full chroma, and hardly any quantisation.
_CODEC: Final = "libx264"
_PIXEL_FORMAT = "yuv444p"
# No B-frames: packets are in order of display, which `concatenate` relies on. One thread: workers run side by side.
_OPTIONS: dict[str, object] = {"crf": "8", "preset": "veryfast", "bf": "0", "threads": "1"}
# A camera's full image is shrunk before a model sees it, which hides what is lost: 0.8 of 255 on average, as with crf 14
# (0.65), in a fraction of the time and of the disk.
_LARGE_OPTIONS = _OPTIONS | {"crf": "20", "preset": "ultrafast"}
_LARGE_PIXELS = 256 * 256

# For people to watch: browsers and players everywhere show 4:2:0 and nothing else.
_FILM_FORMAT = "yuv420p"
_FILM_OPTIONS: dict[str, object] = {"crf": "20", "preset": "veryfast", "threads": "1"}


def exact_rate(rate_hz: float) -> Fraction:
    """A frame rate as the fraction that containers store: 29.97 is 2997/100, not 30."""
    return Fraction(rate_hz).limit_denominator(1001)


def encode(frames: Iterable[np.ndarray], rate_hz: float) -> bytes:
    """Frames, uint8 (H, W, 3) each, as an H.264 mp4 in memory."""
    file = io.BytesIO()
    _encode(file, frames, rate_hz)
    return file.getvalue()


def write_video(path: Path, frames: Iterable[np.ndarray], rate_hz: float) -> None:
    """Frames, uint8 (H, W, 3) each with even sides, as an mp4 to look at: smaller, and every browser plays it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        _encode(file, frames, rate_hz, _FILM_FORMAT, _FILM_OPTIONS)


def _encode(
    file: IO[bytes],
    frames: Iterable[np.ndarray],
    rate_hz: float,
    pixel_format: str = "",
    options: dict[str, object] | None = None,
) -> None:
    with av.open(file, "w", format="mp4") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream(_CODEC, rate=exact_rate(rate_hz))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = pixel_format or _PIXEL_FORMAT
                by_size = _LARGE_OPTIONS if stream.height * stream.width > _LARGE_PIXELS else _OPTIONS
                stream.options = {**(options or by_size), "g": str(max(1, round(rate_hz)))}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def concatenate(path: Path, videos: Iterable[bytes], rate_hz: float) -> None:
    """Joins videos of `encode` into one file at `path`, packet by packet: nothing is coded twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = 0
    with av.open(str(path), "w") as output:
        target = None
        for video in videos:
            with av.open(io.BytesIO(video), "r") as source:
                stream = source.streams.video[0]
                if target is None:
                    target = output.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.size == 0:  # the flush packet at the end
                        continue
                    packet.stream = target
                    packet.time_base = 1 / exact_rate(rate_hz)
                    packet.pts = packet.dts = frames
                    packet.duration = 1
                    frames += 1
                    output.mux(packet)


def cut(path: Path, first: int, count: int, rate_hz: float) -> bytes:
    """Frames `first` .. `first + count - 1` of a video as a file of its own, packet by packet: nothing is coded twice.

    Raises:
        DialError: the video ends before, or frame `first` cannot be decoded without those before it.
    """
    memory, taken = io.BytesIO(), 0
    with av.open(str(path), "r") as source, av.open(memory, "w", format="mp4") as output:
        stream = source.streams.video[0]
        assert stream.time_base is not None
        target = output.add_stream_from_template(stream)
        start = stream.start_time or 0
        source.seek(start + int(first / rate_hz / stream.time_base), stream=stream)
        for packet in source.demux(stream):
            if not packet.size or packet.pts is None or round((packet.pts - start) * stream.time_base * rate_hz) < first:
                continue
            if taken == 0 and not packet.is_keyframe:
                raise DialError(f"{path}: frame {first} does not begin a sequence, so it cannot be cut out; convert the dataset again")
            if taken == count:
                break
            packet.stream, packet.time_base, packet.duration = target, 1 / exact_rate(rate_hz), 1
            packet.pts = packet.dts = taken
            output.mux(packet)
            taken += 1
    if taken < count:
        raise DialError(f"{path} has no frame {first + taken}; the dataset's parquet and video do not belong together")
    return memory.getvalue()


def read_video(source: Path | bytes) -> Iterator[np.ndarray]:
    """Decodes all frames of a file or of `encode`'s bytes in order, uint8 (H, W, 3) each."""
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), "r") as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def key_frames(video: bytes) -> np.ndarray:
    """The key frames of `encode`'s bytes, one a second, uint8 (K, H, W, 3): a sample for statistics, cheap to decode."""
    with av.open(io.BytesIO(video), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
