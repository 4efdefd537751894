"""The vision-language backbones, transformers' own classes, behind one small protocol.

A backbone has a vision tower, a text embedding and a language model that reads embeddings; the rest of the model asks for
nothing else. Its tower is run by an encoder of `vision.py`, its norms and language layers are those of `fused_layers.py`.
Adding a family: a class here, an encoder there, a YAML.
"""

from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel, Qwen3VLConfig, Qwen3VLModel

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.model.fused_layers import ATTENTION, fuse


class Backbone(Protocol):
    """What System-2 needs of a vision-language model."""

    visual: Any
    """The vision tower; frozen in every stage of DIAL."""
    language_model: Any
    """Its layers and norms learn; its embedding table is frozen."""

    def get_input_embeddings(self) -> nn.Embedding:
        """The text embedding table."""
        ...

    def let_learn(self, tower: bool, language: bool) -> None:
        """Chooses what learns: the language model's layers and norms; with the tower also the embedding table."""
        ...

    def read(
        self,
        embeds_BTD: torch.Tensor,
        positions_3BT: torch.Tensor,
        mask: torch.Tensor | None,
        features_BNF: torch.Tensor,
        is_image_BT: torch.Tensor,
    ) -> torch.Tensor:
        """Hidden states (B, T, D) after the final norm, of one causal pass.

        Args:
            embeds_BTD: text, image tokens in their places, queries.
            positions_3BT: `image_text_positions`.
            mask: True (B, 1, T, T) where a token attends; None for all before it, which is faster.
            features_BNF: the encoder's image features; beyond the first D they are for the layers in between.
            is_image_BT: True at the image's places.
        """
        ...


class QwenBackbone:
    """What the families share. Refuses calls of the whole VLM that would get text-only positions for image tokens:

    transformers 5 falls back to text-only positions without a word when `mm_token_type_ids` is missing, and its
    hidden states are then wrong (off by 2.5 in the release's parity case).
    """

    def forward(self, input_ids=None, *args, position_ids=None, mm_token_type_ids=None, **kwargs):
        """As the transformers class's `forward`.

        Raises:
            DialError: neither `position_ids` nor what is needed to compute them was given.
        """
        if position_ids is None and (mm_token_type_ids is None or input_ids is None):
            raise DialError(
                "Backbone.forward needs position_ids (see image_text_positions), or input_ids with mm_token_type_ids: "
                "without them transformers uses text-only positions"
            )
        whole: Any = super()
        return whole.forward(input_ids, *args, position_ids=position_ids, mm_token_type_ids=mm_token_type_ids, **kwargs)

    def let_learn(self, tower: bool, language: bool) -> None:
        """See `Backbone.let_learn`."""
        vlm: Any = self
        vlm.visual.requires_grad_(tower)
        vlm.language_model.requires_grad_(language)
        vlm.get_input_embeddings().requires_grad_(tower)


class Qwen25Backbone(QwenBackbone, Qwen2_5_VLModel):
    """Qwen2.5-VL (and the tiny model, which is one)."""

    def read(self, embeds_BTD, positions_3BT, mask, features_BNF, is_image_BT) -> torch.Tensor:
        """See `Backbone.read`."""
        # Masks by layer type are taken as they are; for None itself transformers would build a mask under an exporter.
        masks = {"full_attention": mask}
        return self.language_model(
            inputs_embeds=embeds_BTD, attention_mask=masks, position_ids=positions_3BT, use_cache=False
        ).last_hidden_state


class Qwen3Backbone(QwenBackbone, Qwen3VLModel):
    """Qwen3-VL: its first language layers get the tower's deeper features added at the image's places ("deepstack")."""

    def read(self, embeds_BTD, positions_3BT, mask, features_BNF, is_image_BT) -> torch.Tensor:
        """See `Backbone.read`."""
        layers = len(self.visual.deepstack_visual_indexes)
        deeper = features_BNF.unflatten(-1, (-1, embeds_BTD.shape[-1]))[..., 1 : 1 + layers, :]
        return self.language_model(
            inputs_embeds=embeds_BTD,
            attention_mask=mask,
            position_ids=positions_3BT,
            use_cache=False,
            visual_pos_masks=F.pad(is_image_BT, (0, embeds_BTD.shape[1] - is_image_BT.shape[1])),
            deepstack_visual_embeds=[layer.flatten(0, 1) for layer in deeper.unbind(2)],
        ).last_hidden_state


def build_backbone(arch: Architecture) -> Qwen25Backbone | Qwen3Backbone:
    """A backbone of the architecture's sizes with random weights."""
    qwen3 = arch.backbone == "qwen3_vl"
    backbone = Qwen3Backbone(Qwen3VLConfig(**_sizes(arch))) if qwen3 else Qwen25Backbone(Qwen2_5_VLConfig(**_sizes(arch)))
    fuse(backbone)
    return backbone


def _sizes(arch: Architecture) -> dict[str, Any]:
    vision, text, tokens = arch.vision, arch.text, arch.tokens
    tower: dict[str, Any] = {
        "depth": vision.layers,
        "hidden_size": vision.width,
        "intermediate_size": vision.ffn_width,
        "num_heads": vision.heads,
        "patch_size": vision.patch_size,
        "spatial_merge_size": vision.merge,
        "out_hidden_size": text.width,
    }
    language: dict[str, Any] = {
        "vocab_size": text.vocabulary,
        "hidden_size": text.width,
        "intermediate_size": text.ffn_width,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "rms_norm_eps": text.norm_eps,
        "max_position_embeddings": text.max_positions,
        "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta, "mrope_section": list(text.rope_sections)},
        # None: transformers would otherwise keep the padding row of the embedding at zero.
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if arch.backbone == "qwen3_vl":
        tower |= {"deepstack_visual_indexes": list(vision.deepstack_layers), "num_position_embeddings": vision.position_rows}
        language |= {"head_dim": text.head_width}
        language["rope_parameters"]["mrope_interleaved"] = True
    else:
        tower |= {"window_size": vision.window_size, "fullatt_block_indexes": list(vision.full_attention_blocks)}
    return {
        "attn_implementation": ATTENTION,
        "vision_config": tower,
        "text_config": language,
        "image_token_id": tokens.image,
        "video_token_id": tokens.video,
        "vision_start_token_id": tokens.vision_start,
        "vision_end_token_id": tokens.vision_end,
    }
