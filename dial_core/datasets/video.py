"""Frames to mp4 files and back, keeping the colours of small renderings so that ViT features survive."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Final

import av
import numpy as np

from dial_core.errors import DialError
from dial_core.files.integrity import require_content

# At 96x96 chroma subsampling smears a can's colour over its neighbours: full chroma, and hardly any quantisation.
_CODEC: Final = "libx264"
_PIXEL_FORMAT = "yuv444p"
# No B-frames: packets are in order of display, which `JoinedVideo` and `cut` rely on. One thread: workers run side by side.
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


@dataclass(frozen=True)
class Coding:
    """What a decoder reads in the header of a video. All packets of a track are decoded by one header, so they must share it.

    Attributes:
        codec, pixel_format: by FFmpeg's names (`h264`, `yuv444p`).
        height, width: [px].
        parameters: the codec's own (extradata; of H.264 the parameter sets). With those of another encoder a packet cannot be decoded, or
            becomes another image without any error.
    """

    codec: str
    pixel_format: str
    height: int
    width: int
    parameters: bytes

    def __str__(self) -> str:
        return f"{self.codec} {self.pixel_format} {self.height}x{self.width}"


def coding_of(video: Path | bytes) -> Coding:
    """How the first video track of a file, or of an mp4 in memory, is coded.

    Raises:
        DialError: the file is missing or broken, or has no video.
    """
    try:
        with _opened(video) as container:
            return _coding(container.streams.video[0])
    except (av.FFmpegError, OSError, IndexError) as error:
        name = "a stored video" if isinstance(video, bytes) else str(video)
        if isinstance(video, Path) and video.is_file():
            require_content(video)
        raise DialError(f"{name} cannot be read: {error}; restore the file or drop the episode") from error


def _coding(stream: av.VideoStream) -> Coding:
    context = stream.codec_context
    return Coding(context.codec.canonical_name, context.pix_fmt or "", context.height, context.width, context.extradata or b"")


class JoinedVideo:
    """An mp4 file of videos of `encode` one after the other, packet by packet: nothing is coded twice, and none stays in memory.

    Attributes:
        coding: of all of them.
        frames, videos, bytes: what was added so far.
    """

    def __init__(self, path: Path, coding: Coding, rate_hz: float) -> None:
        """Opens a new file at `path`; its frames are shown at `rate_hz`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.coding, self._path, self._period_s = coding, path, 1 / exact_rate(rate_hz)
        self.frames = self.videos = self.bytes = 0
        self._output = av.open(str(path), "w")
        self._track: av.VideoStream | None = None

    def __enter__(self) -> JoinedVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, video: bytes) -> int:
        """Appends the packets of an mp4 in memory; returns the number of its frames.

        Raises:
            DialError: it is coded otherwise than the file.
        """
        before = self.frames
        with _opened(video) as source:
            stream = source.streams.video[0]
            if (coding := _coding(stream)) != self.coding:
                raise DialError(f"{self._path} is {self.coding}; a video of {coding}, or of other codec parameters, cannot be joined to it")
            if self._track is None:
                self._track = self._output.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size == 0:  # the flush packet at the end
                    continue
                packet.stream, packet.time_base, packet.duration = self._track, self._period_s, 1
                packet.pts = packet.dts = self.frames
                self.frames += 1
                self._output.mux(packet)
        self.videos, self.bytes = self.videos + 1, self.bytes + len(video)
        return self.frames - before

    def close(self) -> None:
        """Completes the file."""
        self._output.close()


def cut(path: Path, first: int, count: int, rate_hz: float) -> bytes:
    """Frames `first` .. `first + count - 1` of a video as a file of its own, packet by packet: nothing is coded twice.

    Raises:
        DialError: the video ends before, a frame is missing, frames are not stored in the order in which they are shown (B-frames), or
            frame `first` cannot be decoded without those before it.
    """
    memory, taken = io.BytesIO(), 0
    with av.open(str(path), "r") as source, av.open(memory, "w", format="mp4") as output:
        stream = source.streams.video[0]
        assert stream.time_base is not None
        target = output.add_stream_from_template(stream)
        start = stream.start_time or 0
        source.seek(start + int(first / rate_hz / stream.time_base), stream=stream)
        for packet in source.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            number = round((packet.pts - start) * stream.time_base * rate_hz)
            if number < first and not taken:
                continue
            if taken == count:
                break
            if number != first + taken:
                raise DialError(
                    f"{path}: frame {number} is stored where frame {first + taken} belongs, so frames are missing or there are B-frames; "
                    "convert the dataset again with `dial convert lerobot`"
                )
            if taken == 0 and not packet.is_keyframe:
                raise DialError(f"{path}: frame {first} does not begin a sequence, so it cannot be cut out; convert the dataset again")
            packet.stream, packet.time_base, packet.duration = target, 1 / exact_rate(rate_hz), 1
            packet.pts = packet.dts = taken
            output.mux(packet)
            taken += 1
    if taken < count:
        raise DialError(f"{path} has no frame {first + taken}; the dataset's parquet and video do not belong together")
    return memory.getvalue()


def read_video(source: Path | bytes) -> Iterator[np.ndarray]:
    """Decodes all frames of a file or of `encode`'s bytes in order, uint8 (H, W, 3) each."""
    with _opened(source) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def last_frame(source: Path | bytes) -> np.ndarray:
    """The last frame of a file or of `encode`'s bytes, uint8 (H, W, 3): decoding is cheap, most of `read_video` is conversion to RGB.

    Raises:
        DialError: it has no frame.
    """
    with _opened(source) as container:
        last = deque(container.decode(video=0), maxlen=1)
        if not last:
            raise DialError(f"{source if isinstance(source, Path) else 'the video'} has no frame")
        return last[0].to_ndarray(format="rgb24")


def key_frames(video: bytes) -> Iterator[np.ndarray]:
    """The key frames of `encode`'s bytes, one a second, uint8 (H, W, 3) each: a sample for statistics, cheap to decode.

    Raises:
        DialError: one cannot be decoded, or there is none.
    """
    found = False
    try:
        with _opened(video) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            for frame in container.decode(stream):
                found = True
                yield frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError) as error:
        raise DialError(f"its video cannot be decoded: {error}") from error
    if not found:
        raise DialError("its video has no key frame")


def _opened(video: Path | bytes) -> av.container.InputContainer:
    return av.open(io.BytesIO(video) if isinstance(video, bytes) else str(video), "r")
