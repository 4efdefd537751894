"""transformers' norms and self-attention in fewer operations, each a kernel launch on a GPU, with the same weights and results."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from dial_core.model.attention import attend, rotated, signed

ATTENTION = "dial"  # name of `attention_forward` among transformers' attention implementations


def attention_forward(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **kwargs) -> tuple[torch.Tensor, None]:
    """transformers' SDPA attention; for training on a CPU the one of this project (`attention.attend`)."""
    if query.device.type != "cpu" or not torch.is_grad_enabled() or dropout:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    causal = attention_mask is None and kwargs.get("is_causal", getattr(module, "is_causal", True))
    return attend(query, key, value, attention_mask, causal, scaling).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attention_forward)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class FusedRMSNorm(nn.Module):
    """transformers' RMS norm, whose weights it takes over, in one operation instead of seven."""

    weight: nn.Parameter
    variance_epsilon: float

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """(..., D) to (..., D), in the dtype of x."""
        return F.rms_norm(x_BTD, self.weight.shape, self.weight.to(x_BTD.dtype), self.variance_epsilon)


class SignedRotary(nn.Module):
    """transformers' rotary angles as `rotated` takes them, once a pass for all layers."""

    def __init__(self, angles: nn.Module) -> None:
        super().__init__()
        self.angles = angles

    def forward(self, x_BTD: torch.Tensor, positions_3BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and signed sin (B, T, 1, head width) in the dtype of x."""
        cos_BTE, sin_BTE = self.angles(x_BTD, positions_3BT)
        return cos_BTE.unsqueeze(-2), signed(sin_BTE).unsqueeze(-2)


class FusedQwen25Attention(nn.Module):
    """Qwen2.5-VL's self-attention, whose weights it takes over; queries and keys are rotated in three operations each, not five.

    It keeps no keys and values of earlier calls: the model is read in one pass (`Backbone.read`).
    """

    def forward(self, hidden_states: torch.Tensor, position_embeddings, attention_mask=None, **unused: Any) -> tuple[torch.Tensor, None]:
        """(B, T, D) to (B, T, D), as transformers' decoder layer calls it; `position_embeddings` from `SignedRotary`."""
        layer: Any = self
        q_BTKE, k_BTJE = self._queries_keys(layer, hidden_states)
        q_BKTE, k_BJTE = (rotated(x, *position_embeddings).transpose(1, 2) for x in (q_BTKE, k_BTJE))
        v_BJTE = _heads(layer, layer.v_proj(hidden_states)).transpose(1, 2)
        out_BTKE, _ = attention_forward(self, q_BKTE, k_BJTE, v_BJTE, attention_mask, scaling=layer.scaling)
        return layer.o_proj(out_BTKE.flatten(2)), None

    def _queries_keys(self, layer: Any, x_BTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _heads(layer, layer.q_proj(x_BTD)), _heads(layer, layer.k_proj(x_BTD))


class FusedQwen3Attention(FusedQwen25Attention):
    """Qwen3-VL's: queries and keys are normalised head by head before they are rotated."""

    def _queries_keys(self, layer: Any, x_BTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q_BTKE, k_BTJE = super()._queries_keys(layer, x_BTD)
        return layer.q_norm(q_BTKE), layer.k_norm(k_BTJE)


FUSED: dict[str, type[nn.Module]] = {
    "Qwen2_5_VLRMSNorm": FusedRMSNorm,
    "Qwen3VLTextRMSNorm": FusedRMSNorm,
    "Qwen2_5_VLAttention": FusedQwen25Attention,
    "Qwen3VLTextAttention": FusedQwen3Attention,
}


def fuse(backbone: Any) -> None:
    """Lets a backbone of transformers compute with the layers of this file; its weights and their names stay."""
    for module in backbone.modules():
        module.__class__ = FUSED.get(type(module).__name__, module.__class__)
    backbone.language_model.rotary_emb = SignedRotary(backbone.language_model.rotary_emb)


def _heads(layer: Any, x_BTD: torch.Tensor) -> torch.Tensor:
    """(B, T, heads, head width)."""
    return x_BTD.unflatten(-1, (-1, layer.head_dim))
