"""The transformer pieces that fusion and action decoder share."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


class KeysValues(NamedTuple):
    """A context's keys and values (B, K, M, head width); `present` (B, M) is False at padding, None without any."""

    keys: torch.Tensor
    values: torch.Tensor
    present: torch.Tensor | None = None


class Attention(nn.Module):
    """Multi-head attention with biases; queries from x, keys and values from x or from a context."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float, context_width: int | None = None):
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(context_width or width, inner)
        self.value = nn.Linear(context_width or width, inner)
        self.out = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def keys_values(self, context_BMD: torch.Tensor, present_BM: torch.Tensor | None = None) -> KeysValues:
        """Keys and values of a context (B, M, D): computed once, usable by any number of forward passes."""
        return KeysValues(self._split(self.key(context_BMD)), self._split(self.value(context_BMD)), present_BM)

    def forward(self, x_BTD: torch.Tensor, keys_values: KeysValues | None = None) -> torch.Tensor:
        """Attends from x (B, T, D) to the given keys and values, or to itself."""
        k_BKMD, v_BKMD, present_BM = self.keys_values(x_BTD) if keys_values is None else keys_values
        mask = None if present_BM is None else present_BM[:, None, None, :]
        out = F.scaled_dot_product_attention(self._split(self.query(x_BTD)), k_BKMD, v_BKMD, attn_mask=mask)
        return self.dropout(self.out(out.transpose(1, 2).flatten(2)))

    def _split(self, x_BTD: torch.Tensor) -> torch.Tensor:
        batch, length, inner = x_BTD.shape
        return x_BTD.view(batch, length, self.heads, inner // self.heads).transpose(1, 2)


class FeedForward(nn.Module):
    """Linear to 4 x width, GELU (tanh), Linear back."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to (B, T, D)."""
        return self.dropout(self.down(self.dropout(gelu_tanh(self.up(x_BTD)))))


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """GELU with the tanh approximation; without gradients on a CPU as x sigmoid(2 u), equal and in half the time."""
    if x.device.type != "cpu" or torch.is_grad_enabled():
        return F.gelu(x, approximate="tanh")
    slope = 2 * math.sqrt(2 / math.pi)  # 2 u = slope (x + 0.044715 x^3)
    return x.square().mul_(0.044715 * slope).add_(slope).mul_(x).sigmoid_().mul_(x)
