"""Random access to the frames of videos at a constant rate, from containers that stay open: for training from pixels."""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from dial_core.errors import DialError

_BYTES_OPEN = 400_000_000  # what the open containers of a process may hold
_FRAMES_OPEN = 20  # decoded frames that an open container holds, measured with H.264


class FrameReader:
    """Reads single frames of our own datasets. One seek serves all frames of a call; only those asked for are converted to RGB.

    Opening a file costs a quarter of what reading a sample from it costs, so as many stay open as fit into 400 MB a process: some 250
    at 224 pixels, a dozen at 1080 lines, and no more than a quarter of the files that the process may open.

    Frame 0 is the first one that is shown, whenever the container says that it starts. A reader may be copied into worker
    processes: each opens its own containers.
    """

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._containers: OrderedDict[Path, av.container.InputContainer] = OrderedDict()

    def __getstate__(self) -> dict:
        return {"rate_hz": self.rate_hz, "_containers": OrderedDict()}

    def read(self, video: Path, numbers: Sequence[int]) -> np.ndarray:
        """Frames `numbers` (any order, repeats allowed) of a video, uint8 (len(numbers), H, W, 3).

        Raises:
            DialError: the video ends before, or cannot be decoded.
        """
        wanted, found = set(numbers), {}
        try:
            container = self._container(video)
            stream = container.streams.video[0]
            assert stream.time_base is not None
            start = stream.start_time or 0
            container.seek(start + int(min(wanted) / self.rate_hz / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                number = round(((frame.time or 0.0) - float(start * stream.time_base)) * self.rate_hz)
                if number in wanted:
                    found[number] = frame.to_ndarray(format="rgb24")
                if len(found) == len(wanted) or number > max(wanted):
                    break
        except (av.FFmpegError, OSError) as error:
            raise DialError(f"{video} cannot be decoded near frame {min(wanted)}: {error}; restore the file or drop the episode") from error
        if missing := sorted(wanted - set(found)):
            raise DialError(
                f"{video} has no frame {missing[0]} at {self.rate_hz:g} Hz; the dataset's parquet and video do not belong together"
            )
        return np.stack([found[number] for number in numbers])

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
