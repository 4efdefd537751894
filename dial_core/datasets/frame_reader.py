"""Random access to the frames of videos, from containers that stay open: for training from pixels."""

from __future__ import annotations

import math
import resource
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from dial_core.datasets.video_rows import SEEK_BACK_S, shown_pixels
from dial_core.errors import DialError

_BYTES_OPEN = 400_000_000  # what the open containers of a process may hold
_FRAMES_OPEN = 20  # decoded frames that an open container holds, measured with H.264


class FrameReader:
    """Reads single frames by the times at which they are shown, turned as the container says.

    One seek serves all frames of a call; only those asked for are converted to RGB.

    Opening a file costs a quarter of what reading a sample from it costs, so as many stay open as fit into 400 MB a process: some 250
    at 224 pixels, a dozen at 1080 lines, and no more than a quarter of the files that the process may open.

    A reader may be copied into worker processes: each opens its own containers.
    """

    def __init__(self) -> None:
        self._containers: OrderedDict[Path, av.container.InputContainer] = OrderedDict()

    def __getstate__(self) -> dict:
        return {"_containers": OrderedDict()}

    def read(self, video: Path, shown_s: Sequence[float] | np.ndarray) -> np.ndarray:
        """The frames shown at `shown_s` (any order, repeats allowed) of a video, uint8 (len(shown_s), H, W, 3).

        Args:
            shown_s: by the video's own clock [s], as `RowFrames.shown_s` has them.

        Raises:
            DialError: no frame is shown at one of these times, or the video cannot be decoded.
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
        if math.isinf(begin_s) and video in self._containers:
            self._containers.pop(video).close()
        container = self._container(video)
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

    def _container(self, video: Path) -> av.container.InputContainer:
        if video not in self._containers:
            container = av.open(str(video), "r")
            container.streams.video[0].codec_context.thread_count = 1  # workers run side by side
            self._containers[video] = container
            while len(self._containers) > self._most(container):
                self._containers.popitem(last=False)[1].close()
        self._containers.move_to_end(video)
        return self._containers[video]

    def _most(self, container: av.container.InputContainer) -> int:
        """How many containers like this one stay open."""
        stream = container.streams.video[0]
        frame_bytes = max(1, stream.width * stream.height * 3 // 2)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
        return max(1, min(files, _BYTES_OPEN // (_FRAMES_OPEN * frame_bytes)))
