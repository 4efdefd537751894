"""Labelled images side by side over a caption: the frames of our videos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 320  # side of one image [px]
TOP, BOTTOM, GAP = 30, 44, 6  # label strip, caption strip, gap [px]
BACKGROUND, FOREGROUND = (18, 20, 26), (235, 235, 235)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Panel:
    """One image: its label, uint8 pixels (H, W, 3), and whether enlarging blends them or keeps the squares of patches."""

    label: str
    pixels: np.ndarray
    smooth: bool = True


def compose(panels: Sequence[Panel], caption: str, clock: str, cell: int = CELL) -> Image.Image:
    """The panels side by side. Even sides, as H.264 wants them."""
    canvas = Image.new("RGB", (len(panels) * cell + (len(panels) - 1) * GAP, TOP + cell + BOTTOM), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for place, panel in enumerate(panels):
        x = place * (cell + GAP)
        resampling = Image.Resampling.BICUBIC if panel.smooth else Image.Resampling.NEAREST
        canvas.paste(Image.fromarray(panel.pixels).resize((cell, cell), resampling), (x, TOP))
        write(draw, (x + cell // 2, TOP // 2), panel.label, 16 if cell >= CELL else 13, anchor="mm")
    write(draw, (12, canvas.height - 22), f"{clock}   “{caption}”", 20, anchor="lm")
    return canvas


def write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: Colour = FOREGROUND, anchor: str = "lm") -> None:
    """Text at `at` [px] of `size` [px], anchored as Pillow names it."""
    draw.text(at, text, fill=colour, font=ImageFont.load_default(size), anchor=anchor)


def overlay(change: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The change map's colours (h, w, 3) over a camera image (H, W, 3), both uint8."""
    size = (pixels.shape[1], pixels.shape[0])
    smooth = np.asarray(Image.fromarray(change).resize(size, Image.Resampling.BILINEAR))
    return (0.6 * smooth + 0.4 * pixels).astype(np.uint8)
