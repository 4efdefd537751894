"""Crops of one image as DINOv2 takes them: two global ones, a few local ones, mirrored and recoloured at random."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_RATIO = (3 / 4, 4 / 3)  # of a crop's width to its height, drawn uniformly in its logarithm
_JITTER = 0.4  # relative brightness and contrast
_SATURATION = 0.2
_GRAY = 0.2  # share of crops without colour


def random_crops(pixels_BHWC: Tensor, side_px: int, area: tuple[float, float], generator: torch.Generator) -> Tensor:
    """One random crop of each image, resized, mirrored half the time, and recoloured.

    Args:
        pixels_BHWC: uint8 (B, H, W, 3).
        side_px: height and width of the crops [px].
        area: least and largest share of the image that a crop shows.

    Returns:
        float32 (B, 3, side_px, side_px) in [0, 1].
    """
    batch = len(pixels_BHWC)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    share, ratio = uniform(*area), torch.exp(uniform(*(math.log(r) for r in _RATIO)))
    width, height = (share * ratio).sqrt().clamp(max=1.0), (share / ratio).sqrt().clamp(max=1.0)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # In affine_grid's coordinates the image is [-1, 1] both ways.
    zero = torch.zeros(batch)
    centre_x, centre_y = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    affine_B23 = torch.stack([torch.stack([width * mirror, zero, centre_x], 1), torch.stack([zero, height, centre_y], 1)], 1)
    images = pixels_BHWC.permute(0, 3, 1, 2).float() / 255
    grid = F.affine_grid(affine_B23, [batch, 3, side_px, side_px], align_corners=False)
    return _recolour(F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False), uniform)


def _recolour(images: Tensor, uniform) -> Tensor:
    def factor(spread: float) -> Tensor:
        return uniform(1 - spread, 1 + spread)[:, None, None, None]

    images = images * factor(_JITTER)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * factor(_JITTER)
    gray = images.mean(1, keepdim=True)
    saturation = torch.where((uniform(0, 1) < _GRAY)[:, None, None, None], torch.zeros(()), factor(_SATURATION))
    return (gray + (images - gray) * saturation).clamp(0, 1)


def block_masks(count: int, rows: int, share: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Masks for half of `count` images, as iBOT draws them: rectangles of patches, until the share that was drawn is hidden.

    Returns:
        bool (count, rows * rows), True where hidden. The second half of the images has no mask.
    """
    masks = torch.zeros(count, rows, rows, dtype=torch.bool)
    for mask in masks[: count // 2]:
        wanted = float(_between(share, generator)) * rows * rows
        while mask.sum() < wanted:
            area = float(_between((4, max(5.0, wanted)), generator))
            ratio = math.exp(float(_between((math.log(0.3), math.log(1 / 0.3)), generator)))
            height, width = (min(rows, max(1, round(side))) for side in (math.sqrt(area * ratio), math.sqrt(area / ratio)))
            top = int(torch.randint(rows - height + 1, (), generator=generator))
            left = int(torch.randint(rows - width + 1, (), generator=generator))
            mask[top : top + height, left : left + width] = True
    return masks.flatten(1)


def _between(limits: tuple[float, float], generator: torch.Generator) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * torch.rand((), generator=generator)
