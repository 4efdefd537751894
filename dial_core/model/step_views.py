"""Which images of a training step are encoded, and by which tower: those that the bridge's losses read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn import functional as F

from dial_core.model.configuration import Architecture
from dial_core.model.view_encoder import DinoView


class Towers(Protocol):
    """What encodes images: `DialModel`."""

    arch: Architecture
    view_encoder: DinoView | None

    def encode_image(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """See `DialModel.encode_image`."""
        ...

    def vision_tokens(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """See `DialModel.vision_tokens`."""
        ...


def encoded_together(encode: Callable[[torch.Tensor], torch.Tensor], views: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Image tokens (B, N, F) of views that may still be pixels (B, H, W, 3); all pixels in one call of `encode`."""
    pixels = [view for view in views if view.dtype == torch.uint8]
    if not pixels:
        return tuple(views)
    encoded = iter(encode(torch.cat(pixels)).split([len(view) for view in pixels]))
    return tuple(next(encoded) if view.dtype == torch.uint8 else view for view in views)


@torch.no_grad()
def encode_what_is_read(
    model: Towers, image: torch.Tensor, goal: torch.Tensor, seen: Sequence[torch.Tensor], further: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """System-2's view, the goal and System-1's views, as image tokens where the bridge reads them; the others stay what they are.

    Of two towers each encodes what is read of it; the features of the other are zero.

    Args:
        seen: the first camera's view for System-1; none where that is System-2's.
        further: views of the further cameras.
    """
    rules, second_tower = model.arch.bridge_rules, model.view_encoder
    goals, newer = [goal] if rules.predicts else [], [*seen, *further]
    read = [*goals, *newer] if rules.shows_view else goals
    if second_tower is None:
        image, *read = encoded_together(model.encode_image, [image, *read])
    else:
        width, whole = model.arch.backbone_width, model.arch.feature_width
        for_language = lambda pixels: F.pad(model.vision_tokens(pixels), (0, whole - width))  # noqa: E731
        (image,) = encoded_together(for_language if seen else model.encode_image, [image])
        read = list(encoded_together(lambda pixels: F.pad(second_tower(pixels).to(image.dtype), (width, 0)), read))
    goal = read.pop(0) if goals else goal
    newer = read if rules.shows_view else newer
    return image, goal, newer if seen else [image, *newer]
