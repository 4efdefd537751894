"""The transformer pieces that fusion and action decoder share."""

import torch
from torch import nn
from torch.nn import functional as F

KeysValues = tuple[torch.Tensor, torch.Tensor]  # (B, K, context length, head width) each


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
        self.dropout = nn.Dropout(dropout)

    def keys_values(self, context_BMD: torch.Tensor) -> KeysValues:
        """Keys and values of a context (B, M, D): computed once, usable by any number of forward passes."""
        return self._split(self.key(context_BMD)), self._split(self.value(context_BMD))

    def forward(self, x_BTD: torch.Tensor, keys_values: KeysValues | None = None) -> torch.Tensor:
        """Attends from x (B, T, D) to the given keys and values, or to itself."""
        k_BKMD, v_BKMD = self.keys_values(x_BTD) if keys_values is None else keys_values
        out = F.scaled_dot_product_attention(self._split(self.query(x_BTD)), k_BKMD, v_BKMD)
        return self.dropout(self.out(out.transpose(1, 2).flatten(2)))

    def _split(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Linear to 4 x width, GELU (tanh), Linear back."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to (B, T, D)."""
        hidden = self.dropout(F.gelu(self.up(x_BTD), approximate="tanh"))
        return self.dropout(self.down(hidden))
