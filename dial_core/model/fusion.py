"""Fusion: the condition's tokens (foresight and current view) look at each other (model.md, System-1, 2)."""

import torch
from torch import nn

from dial_core.model.attention import Attention, FeedForward
from dial_core.model.configuration import AttentionStack


class FusionBlock(nn.Module):
    """Pre-norm self-attention and feed-forward; norms with affine parameters."""

    def __init__(self, stack: AttentionStack):
        super().__init__()
        self.norm1 = nn.LayerNorm(stack.width)
        self.attention = Attention(stack.width, stack.heads, stack.head_width, stack.dropout, drops_twice=stack.drops_attention_twice)
        self.norm2 = nn.LayerNorm(stack.width)
        self.ffn = FeedForward(stack.width, stack.dropout)

    def forward(self, x_BMD: torch.Tensor, present_BM: torch.Tensor | None = None) -> torch.Tensor:
        """(B, M, D) to (B, M, D); nothing attends where `present_BM` is False."""
        normed = self.norm1(x_BMD)
        x_BMD = x_BMD + self.attention(normed, self.attention.keys_values(normed, present_BM))
        return x_BMD + self.ffn(self.norm2(x_BMD))


class Fusion(nn.Module):
    """LayerNorm, then the blocks; no final norm."""

    def __init__(self, stack: AttentionStack):
        super().__init__()
        self.norm = nn.LayerNorm(stack.width)
        self.blocks = nn.ModuleList(FusionBlock(stack) for _ in range(stack.layers))

    def forward(self, condition_BMD: torch.Tensor, present_BM: torch.Tensor | None = None) -> torch.Tensor:
        """Condition (B, M, D) to fused condition (B, M, D); rows of padding (`present_BM` False) come out as zeros."""
        x_BMD = self.norm(condition_BMD)
        for block in self.blocks:
            x_BMD = block(x_BMD, present_BM)
        return x_BMD if present_BM is None else x_BMD * present_BM.unsqueeze(-1)
