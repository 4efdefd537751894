"""The mp4 files of one camera of a dataset, while it is written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dial_core.datasets.lerobot_meta import CHUNKS_SIZE, EPISODES_PER_FILE, VIDEO_FILE_MB
from dial_core.datasets.video import Coding, JoinedVideo, coding_of
from dial_core.errors import DialError


class VideoPlace(NamedTuple):
    """Where the video of an episode lies: frames `first` .. `last` of `chunk-<chunk>/file-<number>.mp4`."""

    chunk: int
    number: int
    first: int
    last: int


class CameraVideos:
    """Files `chunk-000/file-000.mp4` and so on in which the videos of one camera lie one after the other.

    A file holds videos of one coding. Datasets of several machines may be coded by several versions of the encoder, by turns: there is one
    open file for each coding, so every packet is stored as it was encoded.
    """

    def __init__(self, folder: Path, rate_hz: float) -> None:
        self._folder, self._rate_hz, self._files = folder, rate_hz, 0
        self._open: dict[Coding, tuple[int, JoinedVideo]] = {}

    def add(self, video: bytes, count: int) -> VideoPlace:
        """Appends the video of an episode, which has `count` frames.

        Raises:
            DialError: it cannot be read, or has another number of frames.
        """
        number, file = self._file_for(coding_of(video), len(video))
        first = file.frames
        if (added := file.add(video)) != count:
            raise DialError(f"an episode for {self._folder.name} has {count} rows, its video {added} frames; make it again")
        return VideoPlace(*divmod(number, CHUNKS_SIZE), first, first + count - 1)

    def close(self) -> None:
        """Completes all files."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()

    def _file_for(self, coding: Coding, size: int) -> tuple[int, JoinedVideo]:
        """Number and file to which a video of this coding and `size` [bytes] is appended."""
        number, file = self._open.get(coding, (0, None))
        if file is not None and file.videos < EPISODES_PER_FILE and file.bytes + size <= VIDEO_FILE_MB * 2**20:
            return number, file
        if file is not None:
            file.close()
        chunk, place = divmod(self._files, CHUNKS_SIZE)
        file = JoinedVideo(self._folder / f"chunk-{chunk:03d}/file-{place:03d}.mp4", coding, self._rate_hz)
        self._open[coding] = self._files, file
        self._files += 1
        return self._open[coding]
