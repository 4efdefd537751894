"""A model's image tokens of many images: in batches that fit into a processor's cache, compiled where that pays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from dial_core.model.compiling import compiler_found, prepare_compiler
from dial_core.model.dial import DialModel

COMPILED_FROM_IMAGES = 40_000
"""Images of one process from which on compiling pays: it takes half a minute of a core and saves 1.6 ms an image."""

_BATCH_CPU, _BATCH_GPU = 8, 64
_GPU_ROOM = 2 * 2**30  # [B] of CUDA's context and a batch's activations


def encoding_device(model: DialModel, sharing: int) -> torch.device:
    """CUDA if the GPU has the memory for a model like this in each of `sharing` processes, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    free, whole = torch.cuda.mem_get_info()
    needed = sum(value.numel() * value.element_size() for value in model.parameters()) + _GPU_ROOM
    return torch.device("cuda" if free >= needed and whole >= sharing * needed else "cpu")


class ImageEncoder:
    """Computes `DialModel.encode_image` of a stream of images."""

    def __init__(self, model: DialModel, compiled: bool) -> None:
        """`compiled`: only on a CPU and where there is a C++ compiler; changes nothing but rounding."""
        self.model = model
        on_cpu = model.device.type == "cpu"
        self.batch = _BATCH_CPU if on_cpu else _BATCH_GPU
        self._encode: Callable[[torch.Tensor], torch.Tensor] = self._eager
        if compiled and on_cpu and compiler_found():
            self._encode = self._compile()

    @torch.no_grad()
    def __call__(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Tokens of images, uint8 (H, W, 3) each, in their order: float16 (B, N, F) for each batch, the last one shorter."""
        waiting = iter(images)
        while batch := list(islice(waiting, self.batch)):
            pixels_BHWC = torch.from_numpy(np.stack(batch + batch[-1:] * (self.batch - len(batch))))
            yield self._encode(pixels_BHWC.to(self.model.device))[: len(batch)].cpu().numpy()

    def _eager(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels_BHWC).half()

    @torch.no_grad()
    def _compile(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The compiled tower, its weights constants of the program: packed once for the matrix products."""
        prepare_compiler()
        arch = self.model.config.arch
        example = torch.zeros(self.batch, arch.image.height, arch.image.width, 3, dtype=torch.uint8)
        self._eager(example)  # fills what the tower caches between calls with real tensors
        compiled = torch.compile(self._eager, dynamic=False, options={"freezing": True})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that caches of constants are traced through
            compiled(example)
        return compiled
