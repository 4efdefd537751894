"""The action decoder: a DiT over [state token, H action tokens] (model.md, System-1, 3 and 4)."""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from dial_core.model.attention import Attention, FeedForward, KeysValues
from dial_core.model.bridges import present_rows
from dial_core.model.configuration import Decoder
from dial_core.model.flow_matching import sinusoid

TIME_CHANNELS = 256  # width of the raw time code, as in diffusers' DiT
Modulation = tuple[torch.Tensor, torch.Tensor]  # gain and shift of an adaptive norm, (B, 1, width) each


class TimeEmbedding(nn.Module):
    """Embedding time to a vector that steers the adaptive norms."""

    def __init__(self, width: int):
        super().__init__()
        self.layer1 = nn.Linear(TIME_CHANNELS, width)
        self.layer2 = nn.Linear(width, width)

    def forward(self, time_B: torch.Tensor) -> torch.Tensor:
        """(B,) to (B, width)."""
        code = sinusoid(time_B, TIME_CHANNELS, last_frequency_index=TIME_CHANNELS // 2 - 1, cosine_first=True)
        return self.layer2(F.silu(self.layer1(code.to(self.layer1.weight.dtype))))


class AdaptiveNorm(nn.Module):
    """Layer norm whose gain and shift come with the call."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.shape, self.eps = (width,), eps

    def forward(self, x_BTD: torch.Tensor, modulation: Modulation) -> torch.Tensor:
        """(B, T, D) to (B, T, D)."""
        gain, shift = modulation
        if len(gain) == 1:  # one time for the whole batch, as in the sampler: one operation instead of three
            # Under autocast x stays float32 and gain and shift are bfloat16, which a CPU does not mix; widening them loses nothing.
            gain_D, shift_D = (values.view(-1).to(x_BTD.dtype) for values in modulation)
            return F.layer_norm(x_BTD, self.shape, gain_D, shift_D, self.eps)
        return F.layer_norm(x_BTD, self.shape, eps=self.eps) * gain + shift


class DecoderBlock(nn.Module):
    """Adaptive norm, attention (to the condition or to itself), plain norm, feed-forward."""

    def __init__(self, decoder: Decoder, context_width: int | None):
        super().__init__()
        self.crosses = context_width is not None
        self.norm1 = AdaptiveNorm(decoder.width, eps=1e-5)
        self.modulation = nn.Linear(decoder.width, 2 * decoder.width)  # time embedding to scale, shift
        self.attention = Attention(
            decoder.width, decoder.heads, decoder.head_width, decoder.dropout, context_width, decoder.drops_attention_twice
        )
        self.norm2 = nn.LayerNorm(decoder.width, elementwise_affine=False)
        self.ffn = FeedForward(decoder.width, decoder.dropout)

    def forward(self, x_BTD: torch.Tensor, modulation: Modulation, context: KeysValues | None) -> torch.Tensor:
        """(B, T, D) to (B, T, D); `context` holds the condition's keys and values in a crossing block."""
        x_BTD = x_BTD + self.attention(self.norm1(x_BTD, modulation), context)
        return x_BTD + self.ffn(self.norm2(x_BTD))


class ActionDecoder(nn.Module):
    """Even blocks cross-attend to the fused condition, odd blocks self-attend.

    `padded`: the condition may hold rows of padding, zeros, to which nothing attends.
    """

    def __init__(self, decoder: Decoder, context_width: int, padded: bool = False):
        super().__init__()
        self.padded = padded
        self.time = TimeEmbedding(decoder.width)
        self.blocks = nn.ModuleList(DecoderBlock(decoder, context_width if i % 2 == 0 else None) for i in range(decoder.layers))
        self.out_norm = AdaptiveNorm(decoder.width, eps=1e-6)
        self.out_modulation = nn.Linear(decoder.width, 2 * decoder.width)  # time embedding to shift, scale
        self.out = nn.Linear(decoder.width, decoder.output_width)

    @property
    def _stack(self) -> list[DecoderBlock]:
        return cast("list[DecoderBlock]", self.blocks)

    def condition_cache(self, fused_BMD: torch.Tensor) -> list[KeysValues | None]:
        """Keys and values of the fused condition for every crossing block: they do not depend on tau."""
        present = present_rows(fused_BMD) if self.padded else None
        return [block.attention.keys_values(fused_BMD, present) if block.crosses else None for block in self._stack]

    def modulations(self, time_B: torch.Tensor) -> list[Modulation]:
        """Gain and shift of every block's adaptive norm and of the last norm, at embedding times (B,)."""
        time_BD = F.silu(self.time(time_B))
        scales_shifts = [block.modulation(time_BD).unsqueeze(1).chunk(2, -1) for block in self._stack]
        shift, scale = self.out_modulation(time_BD).unsqueeze(1).chunk(2, -1)  # the other way round, as in the release
        return [(1 + scale, shift) for scale, shift in (*scales_shifts, (scale, shift))]

    def forward(self, tokens_BTD: torch.Tensor, modulations: list[Modulation], cache: list[KeysValues | None]) -> torch.Tensor:
        """Tokens (B, 1 + H, D) to hidden states (B, 1 + H, output_width)."""
        x_BTD = tokens_BTD
        for block, modulation, context in zip(self.blocks, modulations[:-1], cache, strict=True):
            x_BTD = block(x_BTD, modulation, context)
        return self.out(self.out_norm(x_BTD, modulations[-1]))
