"""Random looks of camera frames: one look for all frames of a sample, so that o_t and o_{t+H} differ by what happened only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydantic import Field

from dial_core.config import Config

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class ImageAugmentation(Config):
    """How far a look may stray. The untouched frame, which the robot sees at run time, is always among the possible looks."""

    crop: float = Field(default=1.0, gt=0, le=1)  # smallest side of a random crop, relative to the frame's
    brightness: float = Field(default=0.0, ge=0, lt=1)  # relative
    contrast: float = Field(default=0.0, ge=0, lt=1)
    saturation: float = Field(default=0.0, ge=0, lt=1)

    def draw(self, rng: np.random.Generator) -> Look:
        """A random look."""
        side = rng.uniform(self.crop, 1.0)
        left, top = rng.uniform(0.0, 1.0 - side, 2)
        factors = [1.0 + reach * rng.uniform(-1.0, 1.0) for reach in (self.brightness, self.contrast, self.saturation)]
        return Look((left, top, left + side, top + side), *factors)


@dataclass(frozen=True)
class Look:
    """One look: the part of the frame that is shown (left, top, right, bottom, relative) and three colour factors."""

    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    def of(self, frames: np.ndarray, height: int, width: int) -> np.ndarray:
        """Frames uint8 (T, h, w, 3) in this look, uint8 (T, height, width, 3)."""
        shown = np.stack([self._resized(frame, height, width) for frame in frames])
        if (self.brightness, self.contrast, self.saturation) == (1.0, 1.0, 1.0):
            return shown
        values = shown.astype(np.float32) * np.float32(self.brightness)
        grey = (values @ _LUMA)[..., None]
        values = grey + (values - grey) * np.float32(self.saturation)
        middle = np.float32(grey[0].mean())  # of the first frame, for all: a frame's own would differ between them
        return np.clip(middle + (values - middle) * np.float32(self.contrast), 0, 255).astype(np.uint8)

    def _resized(self, frame: np.ndarray, height: int, width: int) -> np.ndarray:
        if frame.shape[:2] == (height, width) and self.box == (0.0, 0.0, 1.0, 1.0):
            return frame
        rows, columns = frame.shape[:2]
        left, top, right, bottom = self.box
        box = (left * columns, top * rows, right * columns, bottom * rows)
        return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR, box=box))
