"""Where tokens stand: rotary positions of text and image, the same for Qwen2.5-VL and Qwen3-VL."""

import torch

from dial_core.errors import DialError


def image_text_positions(
    input_ids_BT: torch.Tensor,
    attention_mask_BT: torch.Tensor,
    image_token: int,
    token_grid: tuple[int, int],
    extra: int = 0,
    extra_at_image: bool = False,
) -> torch.Tensor:
    """Qwen2.5-VL's rotary positions (time, height, width) of prompts with one image each.

    Text counts 0, 1, 2, ... from each row's first real token. The image's tokens share one time position and count
    rows and columns from there; text continues after max(rows, columns). Padding gets 0.

    Args:
        input_ids_BT: left-padded prompts.
        attention_mask_BT: 1 at real tokens, 0 at padding.
        image_token: id of the image placeholder.
        token_grid: rows and columns of the image's merged tokens.
        extra: tokens appended to every row (the foresight queries).
        extra_at_image: they stand where the image's tokens stand, one on each, instead of continuing the text.

    Returns:
        Long (3, B, T + extra).

    Raises:
        DialError: a row does not hold exactly one image of rows * columns adjacent tokens, or `extra_at_image` with another number of
            tokens than the image has.
    """
    rows, columns = token_grid
    n_tokens = rows * columns
    if extra_at_image and extra not in (0, n_tokens):
        raise DialError(f"{extra} appended tokens cannot stand at the {n_tokens} tokens of the image; one each is needed")
    is_image = input_ids_BT == image_token
    start_B1 = is_image.int().argmax(1, keepdim=True)
    index_T = torch.arange(input_ids_BT.shape[1] + extra, device=input_ids_BT.device)
    inside = (index_T >= start_B1) & (index_T < start_B1 + n_tokens)
    if not torch.equal(inside[:, : input_ids_BT.shape[1]], is_image):
        raise DialError(
            f"every prompt needs one image of {n_tokens} adjacent image tokens (id {image_token}); found {is_image.sum(1).tolist()} of them"
        )
    first_B1 = attention_mask_BT.int().argmax(1, keepdim=True)
    text = index_T - first_B1
    after = index_T >= start_B1 + n_tokens
    text = torch.where(after, text - n_tokens + max(rows, columns), text).clamp_min(0)
    origin = start_B1 - first_B1
    offset = (index_T - start_B1).clamp(0, n_tokens - 1)
    positions = torch.where(inside, origin + _cells(offset, columns), text)
    if not extra_at_image or not extra:
        return positions
    every_cell = _cells(torch.arange(n_tokens, device=index_T.device)[None], columns)
    return torch.cat([positions[..., :-extra], origin + every_cell], -1)


def _cells(offset: torch.Tensor, columns: int) -> torch.Tensor:
    """Time, row and column (3, ...) of an image's tokens by their number (...)."""
    return torch.stack([torch.zeros_like(offset), offset // columns, offset % columns])
