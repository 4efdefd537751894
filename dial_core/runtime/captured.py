"""A function of tensors as one CUDA graph: a whole chunk is then one launch instead of some six hundred."""

from __future__ import annotations

from collections.abc import Callable

import torch

Function = Callable[..., torch.Tensor]
_WARMUPS = 3  # before capture, so that libraries have chosen their kernels and allocated their workspaces


class Captured:
    """Calls `function(*tensors)`; on CUDA through a graph captured at the first call of each set of shapes.

    The function must wait for the device nowhere and read no tensors but its arguments and its weights. What it returns is
    overwritten by the next call. On other devices it is called as it is.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self._graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The function's result."""
        if tensors[0].device.type != "cuda":
            return self.function(*tensors)
        key = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        if key not in self._graphs:
            self._graphs[key] = self._capture(tensors)
        graph, inputs, output = self._graphs[key]
        for mine, given in zip(inputs, tensors, strict=True):
            mine.copy_(given)
        graph.replay()
        return output

    def _capture(self, tensors: tuple[torch.Tensor, ...]) -> tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]:
        inputs = [tensor.clone() for tensor in tensors]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARMUPS):
                self.function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self.function(*inputs)
        return graph, inputs, output
