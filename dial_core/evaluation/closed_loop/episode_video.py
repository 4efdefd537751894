"""The video of one episode: what goes wrong with it is reported, and changes nothing of the episode."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from dial_core.datasets.video import write_video
from dial_core.evaluation.closed_loop.arena import Arena
from dial_core.files.disk_space import is_disk_full


class EpisodeVideo:
    """Frames of an episode, and the file that they go into; without a file it does nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._frames: list[np.ndarray] = []

    def take(self, arena: Arena) -> None:
        """Adds a frame; after an error a warning, and no further frames: the episode continues without a video."""
        if self._file is None:
            return
        try:
            self._frames.append(arena.video_frame())
        except Exception as error:
            self._give_up(self._file, error)

    def write(self, rate_hz: float) -> None:
        """Writes the file; a warning where that is not possible, and no half of a file is left.

        Raises:
            OSError: the disk is full, which every further episode would meet too.
        """
        if self._file is None:
            return
        try:
            write_video(self._file, self._frames, rate_hz)
        except Exception as error:
            with suppress(OSError):  # where it could not even be opened
                self._file.unlink()
            if is_disk_full(error):
                raise
            self._give_up(self._file, error)

    def _give_up(self, file: Path, error: Exception) -> None:
        self._file = None
        said = f"{file} was not written: {type(error).__name__}: {error}; its episode counts as it ended"
        print(said, file=sys.stderr, flush=True)
