"""Random access to the frames of videos, from containers that stay open: for training from pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from dial_core.datasets.open_videos import OPEN_VIDEOS
from dial_core.datasets.video_rows import SEEK_BACK_S, shown_pixels
from dial_core.errors import DialError


class FrameReader:
    """Reads single frames by the times at which they are shown, turned as the container says.

    One seek serves all frames of a call; only those asked for are converted to RGB.

    Opening a file costs a quarter of what reading a sample from it costs, so videos stay open (`open_videos`), shared by all readers of a
    process: as many as fit into 400 MB, some 250 at 224 pixels, a dozen at 1080 lines, and no more than a quarter of the files that the
    process may open.

    A reader may be used by several threads, and copied into worker processes: each process opens its own containers.
    """

    def read(self, video: Path, shown_s: Sequence[float] | np.ndarray) -> np.ndarray:
        """The frames shown at `shown_s` (any order, repeats allowed) of a video, uint8 (len(shown_s), H, W, 3).

        Args:
            shown_s: by the video's own clock [s], as `RowFrames.shown_s` has them.

        Raises:
            DialError: no frame is shown at one of these times, the video cannot be decoded, or the process has no file left to open.
        """
        times_s = [float(time_s) for time_s in shown_s]
        found: dict[float, np.ndarray] = {}
        try:
            for back_s in SEEK_BACK_S:  # a seek may land on a key frame that is shown after the wanted one
                found |= self._from(video, min(times_s) - back_s, times_s)
                if len(found) == len(set(times_s)):
                    break
        except (av.FFmpegError, OSError) as error:
            raise DialError(
                f"{video} cannot be decoded near {min(shown_s):.2f} s: {error}; restore the file or drop the episode"
            ) from error
        if missing := sorted(set(times_s) - found.keys()):
            raise DialError(f"{video} has no frame at {missing[0]:.3f} s; the dataset's parquet and video do not belong together")
        return np.stack([found[time_s] for time_s in times_s])

    def _from(self, video: Path, begin_s: float, times_s: Sequence[float]) -> dict[float, np.ndarray]:
        """The frames at `times_s` that are decoded after a seek to `begin_s`; minus infinity: from the very first frame on."""
        with OPEN_VIDEOS.lend(video, from_start=math.isinf(begin_s)) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            times_of: dict[int, list[float]] = {}
            for time_s in times_s:
                times_of.setdefault(round(time_s / stream.time_base), []).append(time_s)
            if not math.isinf(begin_s):
                container.seek(max(round(begin_s / stream.time_base), min(stream.start_time or 0, *times_of)), stream=stream)
            found: dict[float, np.ndarray] = {}
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                if frame.pts in times_of:
                    found |= dict.fromkeys(times_of[frame.pts], shown_pixels(frame, video))
                if frame.pts >= max(times_of):
                    break
            return found
