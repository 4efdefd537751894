"""The transformer pieces that several parts of the model share."""

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

    def repeated(self, times: int) -> "KeysValues":
        """Each context of the batch `times` times, one after the other."""
        present = None if self.present is None else self.present.repeat_interleave(times, 0)
        return KeysValues(self.keys.repeat_interleave(times, 0), self.values.repeat_interleave(times, 0), present)


class Attention(nn.Module):
    """Multi-head attention with biases; queries from x, keys and values from x or from a context."""

    def __init__(
        self, width: int, heads: int, head_width: int, dropout: float, context_width: int | None = None, drops_twice: bool = False
    ):
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(context_width or width, inner)
        self.value = nn.Linear(context_width or width, inner)
        self.out = nn.Linear(inner, width)
        self.dropout = nn.Sequential(*(nn.Dropout(dropout) for _ in range(2 if drops_twice else 1) if dropout))

    def keys_values(self, context_BMD: torch.Tensor, present_BM: torch.Tensor | None = None) -> KeysValues:
        """Keys and values of a context (B, M, D): computed once, usable by any number of forward passes."""
        return KeysValues(self._split(self.key(context_BMD)), self._split(self.value(context_BMD)), present_BM)

    def forward(self, x_BTD: torch.Tensor, keys_values: KeysValues | None = None) -> torch.Tensor:
        """Attends from x (B, T, D) to the given keys and values, or to itself."""
        k_BKMD, v_BKMD, present_BM = self.keys_values(x_BTD) if keys_values is None else keys_values
        mask = None if present_BM is None else present_BM[:, None, None, :]
        out = attend(self._split(self.query(x_BTD)), k_BKMD, v_BKMD, mask)
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


def rotated(x: torch.Tensor, cos: torch.Tensor, signed_sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions: element i of the last dimension and the one half a dimension on, turned by their angle.

    transformers' x cos + rotate_half(x) sin in three operations instead of five, with a gradient of five instead of nine.

    Args:
        x: (..., E).
        cos, signed_sin: of the angles, broadcastable to x; the sine from `signed`.
    """
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), signed_sin)


def signed(sin: torch.Tensor) -> torch.Tensor:
    """The sine of rotary angles (..., E) with the sign that `rotate_half` gives the half it meets."""
    first, second = sin.chunk(2, -1)
    return torch.cat([-first, second], -1)


def attend(
    q_BKTD: torch.Tensor,
    k_BJMD: torch.Tensor,
    v_BJMD: torch.Tensor,
    mask: torch.Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> torch.Tensor:
    """Scaled dot-product attention (B, K, T, D); every K / J query heads share one of the J key-value heads.

    PyTorch's fused kernel, except for training on a CPU: there plain float32 products are a quarter faster at the sizes of the tiny
    models, and the backward pass of the fused kernel in bfloat16 takes nine times as long as in float32.

    Args:
        mask: True where a query attends, broadcastable to (B, K, T, M).
        causal: without a mask, query t attends to keys 0 .. t.
        scale: of the products; 1 / sqrt(D) if None.
    """
    if q_BKTD.device.type != "cpu" or not torch.is_grad_enabled():
        grouped = q_BKTD.shape[1] != k_BJMD.shape[1]
        return F.scaled_dot_product_attention(
            q_BKTD, k_BJMD, v_BJMD, attn_mask=mask, is_causal=causal and mask is None, scale=scale, enable_gqa=grouped
        )
    with torch.autocast("cpu", enabled=False):
        return _attend_in_float32(q_BKTD, k_BJMD, v_BJMD, mask, causal, scale).to(q_BKTD.dtype)


def _attend_in_float32(q_BKTD, k_BJMD, v_BJMD, mask, causal: bool, scale: float | None) -> torch.Tensor:
    batch, heads, length, width = q_BKTD.shape
    shared, keys = k_BJMD.shape[1:3]
    # The queries of one group stand below each other, so that keys and values need not be repeated.
    q = (q_BKTD.float() * (scale or width**-0.5)).reshape(batch, shared, -1, width)
    scores = (q @ k_BJMD.float().transpose(-1, -2)).view(batch, heads, length, keys)
    if mask is None and causal:
        mask = torch.ones(length, keys, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1).view(batch, shared, -1, keys)
    return (weights @ v_BJMD.float()).view(batch, heads, length, -1)
