"""From a camera's picture to what the model sees: crop and resolution by the checkpoint's contract."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dial_core.config import Config
from dial_core.errors import DialError


class CameraView(Config):
    """How the model sees one camera.

    Attributes:
        name: of the camera, as the embodiment names it.
        height, width: of what the model gets [px].
        crop: top, left, height, width of the part it sees, each a share of the camera's picture [1]; None: the largest
            centred part of the model's own aspect ratio.
    """

    name: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    crop: tuple[float, float, float, float] | None = None


def fit_view(pixels: np.ndarray, view: CameraView) -> np.ndarray:
    """A camera's picture (H, W, 3) uint8 -> what the model sees, (view.height, view.width, 3) uint8.

    A picture that fits already is handed through untouched. Others are cropped, then averaged over areas (made
    smaller) or interpolated linearly (made larger).

    Raises:
        DialError: the crop does not lie within the picture.
    """
    top, left, height, width = _crop_box(pixels.shape[0], pixels.shape[1], view)
    part = pixels[top : top + height, left : left + width]
    if part.shape[:2] == (view.height, view.width):
        return part
    import cv2  # only where a camera's resolution differs

    shrinks = view.height <= height and view.width <= width
    return cv2.resize(np.ascontiguousarray(part), (view.width, view.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _crop_box(height: int, width: int, view: CameraView) -> tuple[int, int, int, int]:
    """Top, left, height, width [px]."""
    if view.crop is None:
        scale = min(height / view.height, width / view.width)
        part_height, part_width = round(view.height * scale), round(view.width * scale)
        return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width
    top, left, tall, wide = view.crop
    if min(view.crop) < 0 or tall <= 0 or wide <= 0 or top + tall > 1 + 1e-9 or left + wide > 1 + 1e-9:
        raise DialError(
            f"camera '{view.name}': crop {view.crop} (top, left, height, width as shares) does not lie within the picture; "
            "each is from 0 to 1, and top + height and left + width at most 1"
        )
    return round(top * height), round(left * width), max(round(tall * height), 1), max(round(wide * width), 1)
