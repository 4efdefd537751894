"""The vision-language backbone: transformers' Qwen2.5-VL with image positions that cannot go wrong in silence."""

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture


class Backbone(Qwen2_5_VLModel):
    """`Qwen2_5_VLModel`, refusing calls that would get text-only positions for image tokens.

    transformers 5 falls back to text-only positions without a word when `mm_token_type_ids` is missing, and its
    hidden states are then wrong (off by 2.5 in the release's parity case).
    """

    def forward(self, input_ids=None, *args, position_ids=None, mm_token_type_ids=None, **kwargs):
        """As `Qwen2_5_VLModel.forward`.

        Raises:
            DialError: neither `position_ids` nor what is needed to compute them was given.
        """
        if position_ids is None and (mm_token_type_ids is None or input_ids is None):
            raise DialError(
                "Backbone.forward needs position_ids (see image_text_positions), or input_ids with mm_token_type_ids: "
                "without them transformers uses text-only positions"
            )
        return super().forward(input_ids, *args, position_ids=position_ids, mm_token_type_ids=mm_token_type_ids, **kwargs)


def build_backbone(arch: Architecture) -> Backbone:
    """A backbone of the architecture's sizes with random weights."""
    vision, text, tokens = arch.vision, arch.text, arch.tokens
    return Backbone(
        Qwen2_5_VLConfig(
            vision_config={
                "depth": vision.layers,
                "hidden_size": vision.width,
                "intermediate_size": vision.ffn_width,
                "num_heads": vision.heads,
                "patch_size": vision.patch_size,
                "spatial_merge_size": vision.merge,
                "window_size": vision.window_size,
                "fullatt_block_indexes": list(vision.full_attention_blocks),
                "out_hidden_size": text.width,
            },
            text_config={
                "vocab_size": text.vocabulary,
                "hidden_size": text.width,
                "intermediate_size": text.ffn_width,
                "num_hidden_layers": text.layers,
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.kv_heads,
                "rms_norm_eps": text.norm_eps,
                "max_position_embeddings": text.max_positions,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": text.rope_theta,
                    "mrope_section": list(text.rope_sections),
                },
                # None: transformers would otherwise keep the padding row of the embedding at zero.
                "pad_token_id": None,
                "bos_token_id": None,
                "eos_token_id": None,
            },
            image_token_id=tokens.image,
            video_token_id=tokens.video,
            vision_start_token_id=tokens.vision_start,
            vision_end_token_id=tokens.vision_end,
        )
    )


def image_text_positions(
    input_ids_BT: torch.Tensor,
    attention_mask_BT: torch.Tensor,
    image_token: int,
    token_grid: tuple[int, int],
    extra: int = 0,
) -> torch.Tensor:
    """Qwen2.5-VL's rotary positions (time, height, width) of prompts with one image each.

    Text counts 0, 1, 2, ... from each row's first real token. The image's tokens share one time position and count
    rows and columns from there; text goes on after max(rows, columns). Padding gets 0.

    Args:
        input_ids_BT: left-padded prompts.
        attention_mask_BT: 1 at real tokens, 0 at padding.
        image_token: id of the image placeholder.
        token_grid: rows and columns of the image's merged tokens.
        extra: text tokens appended to every row (the foresight queries).

    Returns:
        Long (3, B, T + extra).

    Raises:
        DialError: a row does not hold exactly one image of rows * columns adjacent tokens.
    """
    rows, columns = token_grid
    n_tokens = rows * columns
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
    grid = torch.stack([torch.zeros_like(offset), offset // columns, offset % columns])
    return torch.where(inside, origin + grid, text)
