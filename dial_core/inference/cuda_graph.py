"""A function of tensors as one CUDA graph: a whole chunk is then one launch instead of some six hundred."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

Result = torch.Tensor | tuple[torch.Tensor, ...]
Function = Callable[..., Result]
WARMUPS = 3  # before capture, so that libraries have chosen their kernels and allocated their workspaces
KEPT = 8  # graphs; each holds the memory of its activations

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """A function on fixed memory: `replay` reads `inputs` and overwrites `result`."""

    inputs: tuple[torch.Tensor, ...]
    replay: Callable[[], None]
    result: Result


Recorder = Callable[[Function, tuple[torch.Tensor, ...]], Recording]


class Captured:
    """Calls `function(*tensors)` by replaying what was recorded at the first call of each set of shapes.

    The function must wait for the device nowhere and read no tensors but its arguments and what never moves (its weights).
    What a replay returns is overwritten by the next call. Where recording fails the function is called as it is from
    then on, and the log says so once: slower, and the same numbers.
    """

    def __init__(self, function: Function, recorder: Recorder | None) -> None:
        """Without a `recorder` the function is always called as it is; see `recorder_for`."""
        self.function, self.recorder = function, recorder
        self._recordings: OrderedDict[tuple, Recording] = OrderedDict()  # by shapes, the least recently used first

    def __len__(self) -> int:
        """How many recordings there are."""
        return len(self._recordings)

    @torch.inference_mode()
    def __call__(self, *tensors: torch.Tensor) -> Result:
        """The function's result."""
        recording = self._recording(tensors)
        if recording is None:
            return self.function(*tensors)
        for mine, given in zip(recording.inputs, tensors, strict=True):
            mine.copy_(given)
        recording.replay()
        return recording.result

    def _recording(self, tensors: tuple[torch.Tensor, ...]) -> Recording | None:
        key = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        if key not in self._recordings and self.recorder is not None:
            try:
                self._recordings[key] = self.recorder(self.function, tuple(tensor.clone() for tensor in tensors))
            except RuntimeError as error:
                log.warning("capture failed, so every call launches its kernels one by one (slower, same results): %s", error)
                self.recorder = None
                self._recordings.clear()
        if key not in self._recordings:
            return None
        self._recordings.move_to_end(key)
        if len(self._recordings) > KEPT:
            self._recordings.popitem(last=False)
        return self._recordings[key]


def recorder_for(device: torch.device, capture: bool = True) -> Recorder | None:
    """`cuda_graph` on CUDA, where graphs exist; None elsewhere, or if nothing shall be captured."""
    return cuda_graph if capture and device.type == "cuda" else None


def cuda_graph(function: Function, inputs: tuple[torch.Tensor, ...]) -> Recording:
    """Records a function as a CUDA graph.

    Raises:
        RuntimeError: it waits for the device, or does something else that cannot be captured.
    """
    with torch.cuda.device(inputs[0].device):  # streams and graphs belong to the current device, which may be another
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # torch's own stream for captures is of the device of the process's first capture; other threads may continue to use the device.
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            result = function(*inputs)
    return Recording(inputs, graph.replay, result)
