"""Containers of videos that stay open between reads: one budget of files and memory for all readers of a process.

What a process may open and hold is limited for the process, and a mixture has a reader for every source and camera.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av

from dial_core.errors import DialError

BYTES_OPEN = 400_000_000  # what the open containers of a process may hold
FRAMES_OPEN = 20  # decoded frames that an open container holds, measured with H.264
_OUT_OF_FILES = {
    errno.EMFILE: "this process has as many files open as it may ({limit}); raise the limit (`ulimit -n 65536` in its shell)",
    errno.ENFILE: "all processes of this machine have as many files open as it allows; close some programs, or lower their `ulimit -n`",
}


@dataclass(frozen=True, eq=False)
class _Open:
    """An open container, the identity of its file, and an estimate of the memory that it holds [bytes]."""

    container: av.container.InputContainer
    file: tuple[int, int, int, int]
    held_bytes: int


class OpenVideos:
    """Keeps containers open, those used last, within a quarter of the files that the process may open and 400 MB.

    Any number of threads may borrow containers: one that is lent is neither closed nor lent twice, so that two threads that read the same
    video at a time have one each.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[Path, _Open] = OrderedDict()  # that used last at the end
        self._lent: list[_Open] = []
        self._most_files = sys.maxsize  # fewer once the process ran out of files: others than the containers hold most of them

    @contextmanager
    def lend(self, video: Path, from_start: bool = False) -> Iterator[av.container.InputContainer]:
        """Yields a container of the video's file as it is now, which decodes in one thread.

        Args:
            from_start: one that has read nothing yet; any other stands wherever it was left.

        Raises:
            DialError: no more files can be opened, even with all containers closed that are not lent.
            av.FFmpegError, OSError: the video is missing, or cannot be opened.
        """
        opened = self._borrow(video, from_start)
        try:
            yield opened.container
        except BaseException:
            with self._lock:
                self._lent.remove(opened)
            opened.container.close()  # nobody knows where its decoder stands
            raise
        with self._lock:
            self._lent.remove(opened)
            if (other := self._idle.pop(video, None)) is not None:  # of another thread
                other.container.close()
            self._idle[video] = opened
            self._close_beyond_budget(kept=1)

    def open(self, video: Path) -> av.container.InputContainer:
        """Opens a video of which nothing is kept here; where no more files can be opened, containers kept here make room.

        Raises:
            DialError, av.FFmpegError, OSError: as `lend`.
        """
        while True:
            try:
                return av.open(str(video), "r")
            except (av.FFmpegError, OSError) as error:
                if error.errno not in _OUT_OF_FILES:
                    raise
                if not self._make_room():
                    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                    raise DialError(f"{video} cannot be opened: {_OUT_OF_FILES[error.errno].format(limit=limit)}") from error

    def close_inherited(self) -> None:
        """Closes what a forked process has of its parent's: both would move one place in each file, and it would count here."""
        self._lock = threading.Lock()  # a thread that is not in this process may have held it
        inherited, self._idle = self._idle, OrderedDict()
        self._lent = []  # to threads that are not in this process, in whatever state: these few stay open
        for opened in inherited.values():
            opened.container.close()

    def _borrow(self, video: Path, from_start: bool) -> _Open:
        facts = os.stat(video)
        file = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        with self._lock:
            opened = self._idle.pop(video, None)
            if opened is not None and (from_start or opened.file != file):
                opened.container.close()
                opened = None
            if opened is not None:
                self._lent.append(opened)
                return opened
        container = self.open(video)
        try:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # worker processes run side by side
        except BaseException:
            container.close()
            raise
        opened = _Open(container, file, FRAMES_OPEN * max(1, stream.width * stream.height * 3 // 2))
        with self._lock:
            self._lent.append(opened)
            self._close_beyond_budget(kept=0)
        return opened

    def _close_beyond_budget(self, kept: int) -> None:
        """Closes idle containers, those used first, until the rest fits the budget or `kept` are left."""
        files = min(self._most_files, _quarter_of_files())
        held_bytes = sum(opened.held_bytes for opened in (*self._idle.values(), *self._lent))
        while len(self._idle) > kept and (len(self._idle) + len(self._lent) > files or held_bytes > BYTES_OPEN):
            opened = self._idle.popitem(last=False)[1]
            opened.container.close()
            held_bytes -= opened.held_bytes

    def _make_room(self) -> bool:
        """Closes the half of the idle containers that was used first, and keeps to as many; whether there was any."""
        with self._lock:
            closing = (len(self._idle) + 1) // 2
            for _ in range(closing):
                self._idle.popitem(last=False)[1].container.close()
            self._most_files = max(1, len(self._idle) + len(self._lent))
        return closing > 0


def _quarter_of_files() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit // 4


OPEN_VIDEOS = OpenVideos()  # one a process, as the limits are
os.register_at_fork(after_in_child=OPEN_VIDEOS.close_inherited)
