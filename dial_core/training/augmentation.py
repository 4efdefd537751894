"""Random crop and colour of camera frames, equal for all frames of a sample, so that o_t and o_{t+H} differ by the motion only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydantic import Field

from dial_core.config import Config
from dial_core.observation.camera_view import WHOLE, Box, CameraView, fit_view

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class ImageAugmentation(Config):
    """Ranges of the random appearance. The unchanged view, which the robot sees at run time, always lies within them.

    Attributes:
        crop: smallest side of a random crop, relative to the view's.
        always_crops: every crop has that side, as in the release, and the view of the checkpoint is the central one.
        brightness, contrast, saturation: relative.
        hue: [turns of the colour circle].
    """

    crop: float = Field(default=1.0, gt=0, le=1)
    always_crops: bool = False
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    saturation: float = Field(default=0.0, ge=0, lt=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)

    @property
    def seen_share(self) -> float:
        """Side of the part of the camera's view that the robot sees at run time."""
        return self.crop if self.always_crops else 1.0

    def draw(self, rng: np.random.Generator) -> DrawnAugmentation:
        """A random appearance."""
        side = self.crop if self.always_crops else rng.uniform(self.crop, 1.0)
        left, top = rng.uniform(0.0, 1.0 - side, 2)
        brightness, contrast, saturation = (
            1.0 + reach * rng.uniform(-1.0, 1.0) for reach in (self.brightness, self.contrast, self.saturation)
        )
        turn = rng.uniform(-self.hue, self.hue) if self.hue else 0.0
        return DrawnAugmentation((top, left, side, side), brightness, contrast, saturation, turn)


@dataclass(frozen=True)
class DrawnAugmentation:
    """One appearance: the part of the view that fills the image, and three colour factors, and a turn of all hues [turns]."""

    zoom: Box = WHOLE
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0

    def of(self, frames: np.ndarray, view: CameraView) -> np.ndarray:
        """A camera's frames uint8 (T, h, w, 3) as the model sees them, with this appearance: uint8 (T, height, width, 3)."""
        shown = np.stack([fit_view(frame, view, self.zoom) for frame in frames])
        if self.hue:
            shown = np.stack([_turned(image, self.hue) for image in shown])
        if (self.brightness, self.contrast, self.saturation) == (1.0, 1.0, 1.0):
            return shown
        values = shown.astype(np.float32) * np.float32(self.brightness)
        grey = (values @ _LUMA)[..., None]
        values = grey + (values - grey) * np.float32(self.saturation)
        middle = np.float32(grey[0].mean())  # of the first frame, for all: a frame's own would differ between them
        return np.clip(middle + (values - middle) * np.float32(self.contrast), 0, 255).astype(np.uint8)


def _turned(image: np.ndarray, turns: float) -> np.ndarray:
    """An RGB image with its hues turned, as torchvision's `adjust_hue` does it."""
    hue, saturation, value = Image.fromarray(image).convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(round(turns * 255) % 256)
    return np.asarray(Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB"))
