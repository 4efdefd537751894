"""State encoder, action encoder and action head: one set of weights per embodiment slot (model.md, System-1)."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from dial_core.model.flow_matching import sinusoid

Slot = int | torch.Tensor
"""Which embodiment: one for the whole batch (int), or one a sample (long, (B,))."""


class SlotLinear(nn.Module):
    """A linear map per slot: weight (slots, in, out), bias (slots, out)."""

    def __init__(self, slots: int, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(slots, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(slots, outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As nn.Linear: uniform within 1 / sqrt(inputs)."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x_BTD: torch.Tensor, slot: Slot) -> torch.Tensor:
        """(B, T, in) to (B, T, out)."""
        if isinstance(slot, int):
            return F.linear(x_BTD, self.weight[slot].T, self.bias[slot])
        return torch.baddbmm(self.bias[slot].unsqueeze(1), x_BTD, self.weight[slot])


class SlotMLP(nn.Module):
    """Two layers with a ReLU between them."""

    def __init__(self, slots: int, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.layer1 = SlotLinear(slots, inputs, hidden)
        self.layer2 = SlotLinear(slots, hidden, outputs)

    def forward(self, x_BTD: torch.Tensor, slot: Slot) -> torch.Tensor:
        """(B, T, in) to (B, T, out)."""
        return self.layer2(F.relu(self.layer1(x_BTD, slot)), slot)


class ActionEncoder(nn.Module):
    """Noisy actions and tau to tokens: W1 a, joined with the sinusoid of tau; W2, swish; W3.

    W2 [W1 a, code] is computed as W2a W1 a + W2b code: the second term depends on tau alone.
    """

    def __init__(self, slots: int, action_dim: int, width: int):
        super().__init__()
        self.width = width
        self.w1 = SlotLinear(slots, action_dim, width)
        self.w2 = SlotLinear(slots, 2 * width, width)
        self.w3 = SlotLinear(slots, width, width)

    def time_part(self, time_B: torch.Tensor, slot: Slot) -> torch.Tensor:
        """W2's share and bias (B, 1, width) of embedding times (B,)."""
        code_B1D = sinusoid(time_B, self.width, last_frequency_index=self.width // 2).unsqueeze(1)
        weight = self.w2.weight[slot][..., self.width :, :]
        return code_B1D.to(weight.dtype) @ weight + self.w2.bias[slot].unsqueeze(-2)

    def forward(self, noisy_BHA: torch.Tensor, time_part_B1D: torch.Tensor, slot: Slot) -> torch.Tensor:
        """Noisy chunk (B, H, A) and the time's part to tokens (B, H, width)."""
        actions_BHD = self.w1(noisy_BHA, slot) @ self.w2.weight[slot][..., : self.width, :]
        return self.w3(F.silu(actions_BHD + time_part_B1D), slot)
