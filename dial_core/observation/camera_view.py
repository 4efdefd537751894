"""Fits a camera's image to the model: which part of it the model sees, at which resolution.

Training, importers, evaluation and the nodes all call `fit_view`, with the view that stands in the checkpoint's contract.
"""

from __future__ import annotations

from typing import Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from dial_core.config import Config
from dial_core.errors import DialError

Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)
Box = tuple[float, float, float, float]  # top, left, height, width, each a share of an image [1]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


class SeenCamera(Config):
    """A camera of the robot, and the part of its image that the model sees.

    Attributes:
        name: of the camera, as in the embodiment.
        crop: top, left, height, width of the part that is shown, each a share of the camera's image [1]; None: all of it.
        fit: how that part takes the input's aspect ratio. `crop`: its largest centred area; `pad`: all of it between black bars;
            `stretch`: all of it, distorted.
    """

    name: str
    crop: Box | None = None
    fit: Fit = "crop"

    @model_validator(mode="after")
    def _within_the_image(self) -> Self:
        top, left, height, width = self.crop or WHOLE
        if min(top, left) < 0 or height <= 0 or width <= 0 or top + height > 1 + 1e-9 or left + width > 1 + 1e-9:
            raise ValueError(
                f"camera '{self.name}': crop {self.crop} (top, left, height, width as shares) does not lie within the image; "
                "each is from 0 to 1, and top + height and left + width at most 1"
            )
        return self


class CameraView(SeenCamera):
    """How the model sees one camera: which part, and at which `height` and `width` [px]."""

    height: int = Field(gt=0)
    width: int = Field(gt=0)


class StoredView(CameraView):
    """How a dataset's frames were fitted when they were stored.

    `source_sizes`: height and width [px] of the images that they were made from.
    """

    source_sizes: tuple[tuple[int, int], ...]


def fit_view(pixels: np.ndarray, view: CameraView, zoom: Box = WHOLE) -> np.ndarray:
    """Returns the model's input (view.height, view.width, 3) uint8 for a camera's image (H, W, 3) uint8.

    Its memory is contiguous: an image that fits already is returned as it is, and copied only where it is a view (the reversed
    channels of bgr8, a crop). Others are cropped or padded, then averaged over areas (made smaller) or interpolated linearly (made
    larger).

    Args:
        zoom: the part of the view that fills the input; augmentation's, all of it elsewhere.
    """
    shown = _shown(pixels, view)
    if zoom != WHOLE:
        top, left, height, width = _in_pixels(zoom, *shown.shape[:2])
        shown = shown[top : top + height, left : left + width]
    if shown.shape[:2] == (view.height, view.width):
        return np.ascontiguousarray(shown)
    import cv2  # only where a camera's resolution differs

    shrinks = view.height <= shown.shape[0] and view.width <= shown.shape[1]
    return cv2.resize(np.ascontiguousarray(shown), (view.width, view.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def fit_stored(view: CameraView, stored: StoredView | None) -> CameraView:
    """Returns the view that turns frames which were fitted when stored into the input that `view` describes.

    `stored`: None where a dataset holds the camera's own images.

    Raises:
        DialError: the frames show another part of the camera's image; the message names both.
    """
    if stored is None:
        return view
    same_shape = stored.height * view.width == stored.width * view.height
    if not same_shape or any(_region(*size, stored) != _region(*size, view) for size in stored.source_sizes):
        raise DialError(
            f"camera '{view.name}': the dataset's frames were stored as {in_words(stored)} of "
            f"{' and '.join(f'{height}x{width}' for height, width in stored.source_sizes)} images, the model sees {in_words(view)}; "
            "convert the data again with that --fit and --crop, or set `cameras` in the recipe"
        )
    return CameraView(name=view.name, height=view.height, width=view.width, fit="stretch")


def central(crop: Box | None, side: float) -> Box | None:
    """The middle of a crop (None: of the whole image), with `side` of its height and width."""
    if side == 1:
        return crop
    top, left, height, width = crop or WHOLE
    return top + height * (1 - side) / 2, left + width * (1 - side) / 2, height * side, width * side


def in_words(view: CameraView) -> str:
    """`96x96 (pad, rows 30% to 100%, columns 0% to 100%)`: resolution, fit and what is kept."""
    return f"{view.height}x{view.width} ({view.fit}{', ' + part_in_words(view.crop) if view.crop else ''})"


def part_in_words(crop: Box | None) -> str:
    """`rows 30% to 100%, columns 0% to 100%`."""
    top, left, height, width = crop or WHOLE
    return f"rows {top:.0%} to {top + height:.0%}, columns {left:.0%} to {left + width:.0%}"


def _shown(pixels: np.ndarray, view: CameraView) -> np.ndarray:
    """Returns the visible part at the camera's resolution and, unless it is stretched, in the input's aspect ratio."""
    top, left, height, width = _in_pixels(view.crop or WHOLE, *pixels.shape[:2])
    part = pixels[top : top + height, left : left + width]
    tall, wide = _with_aspect(height, width, view)
    if tall > height or wide > width:
        padded = np.zeros((tall, wide, 3), np.uint8)
        above, before = (tall - height) // 2, (wide - width) // 2
        padded[above : above + height, before : before + width] = part
        return padded
    above, before = (height - tall) // 2, (width - wide) // 2
    return part[above : above + tall, before : before + wide]


def _region(height: int, width: int, view: CameraView) -> tuple[int, int, int, int]:
    """Returns the visible part of an image of this size: top, left, height, width [px], beyond its edges where it is padded."""
    top, left, part_height, part_width = _in_pixels(view.crop or WHOLE, height, width)
    tall, wide = _with_aspect(part_height, part_width, view)
    return top + (part_height - tall) // 2, left + (part_width - wide) // 2, tall, wide


def _with_aspect(height: int, width: int, view: CameraView) -> tuple[int, int]:
    """Height and width [px] of the largest area within (`crop`), or the smallest around (`pad`), of the input's aspect ratio."""
    if view.fit == "stretch":
        return height, width
    scale = (min if view.fit == "crop" else max)(height / view.height, width / view.width)
    return max(round(view.height * scale), 1), max(round(view.width * scale), 1)


def _in_pixels(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    top, left, tall, wide = box
    return round(top * height), round(left * width), max(round(tall * height), 1), max(round(wide * width), 1)
