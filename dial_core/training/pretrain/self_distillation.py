"""DINOv2's objective: a student learns to say of crops and hidden patches what its own average, the teacher, says of the image.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (arXiv 2304.07193), Sec. 4: DINO's loss on class
tokens, iBOT's on hidden patches, Sinkhorn-Knopp centring of the teacher, KoLeo's regulariser. At small width, without its
untied heads for images of millions of kinds: each head has a few hundred prototypes.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Dinov2Model

from dial_core.config import Config
from dial_core.model.view_encoder import STATISTICS
from dial_core.model.vision import scale_and_shift


class Distillation(Config):
    """Of the objective; defaults are DINOv2's, but for the sizes of the heads."""

    prototypes: int = Field(default=512, gt=1)
    head_width: int = Field(default=512, gt=0)
    bottleneck: int = Field(default=128, gt=0)
    student_temperature: float = Field(default=0.1, gt=0)
    teacher_temperature: tuple[float, float] = (0.04, 0.07)  # rising over `temperature_warmup` of all steps
    temperature_warmup: float = Field(default=0.3, ge=0, le=1)
    momentum: float = Field(default=0.992, ge=0, lt=1)  # of the teacher's average, rising to 1 by half a cosine
    patch_weight: float = Field(default=1.0, ge=0)
    spread_weight: float = Field(default=0.1, ge=0)


@dataclass
class DistillationOutput:
    """Of a batch: `class_loss` and `patch_loss`, cross-entropies [nat]; `spread_loss`, KoLeo's; their weighted sum."""

    loss: Tensor
    class_loss: Tensor
    patch_loss: Tensor
    spread_loss: Tensor


class ProjectionHead(nn.Module):
    """Tokens to logits over prototypes: an MLP, then cosines with the prototypes."""

    def __init__(self, width: int, plan: Distillation) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, plan.head_width), nn.GELU(),
            nn.Linear(plan.head_width, plan.head_width), nn.GELU(),
            nn.Linear(plan.head_width, plan.bottleneck),
        )  # fmt: skip
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(plan.prototypes, plan.bottleneck), dim=-1))

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., width) to (..., prototypes), in [-1, 1]."""
        return F.normalize(self.mlp(tokens), dim=-1, eps=1e-6) @ F.normalize(self.prototypes, dim=-1).T


class Encoder(nn.Module):
    """A tower with its two heads; student and teacher are one each."""

    def __init__(self, tower: Dinov2Model, plan: Distillation) -> None:
        super().__init__()
        self.tower = tower
        self.class_head = ProjectionHead(tower.config.hidden_size, plan)
        self.patch_head = ProjectionHead(tower.config.hidden_size, plan)

    def forward(self, images_B3HW: Tensor, hidden_BP: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W) to the class token (B, width) and patch tokens (B, P, width)."""
        tokens = self.tower(images_B3HW, bool_masked_pos=hidden_BP).last_hidden_state
        return tokens[:, 0], tokens[:, 1:]


class SelfDistillation(nn.Module):
    """Student and teacher under the objective. A training step is one forward pass: the teacher follows at its beginning."""

    step: Tensor  # training steps so far

    def __init__(self, tower: Dinov2Model, plan: Distillation, steps: int) -> None:
        super().__init__()
        self.plan, self.steps = plan, steps
        self.student = Encoder(tower, plan)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(self, global_crops: Tensor, local_crops: Tensor, hidden: Tensor) -> DistillationOutput:
        """The losses of a batch.

        Args:
            global_crops: (2, B, 3, S, S) in [0, 1].
            local_crops: (L, B, 3, s, s) in [0, 1].
            hidden: bool (2 * B, P), the patches of the global crops that the student does not see.
        """
        step = int(self.step)
        if self.training:
            self._follow(step)
            self.step += 1
        whole, parts = _normalised(global_crops.flatten(0, 1)), _normalised(local_crops.flatten(0, 1))
        answers_class, answers_patch = self._teach(whole, hidden, self._temperature(step))
        class_tokens, patch_tokens = self.student(whole, hidden)
        local_tokens, _ = self.student(parts)
        batch = global_crops.shape[1]
        said = [*self._say(class_tokens, batch), *self._say(local_tokens, batch)]
        pairs = [(teacher, student) for teacher in range(2) for student in range(len(said)) if teacher != student]
        class_loss = torch.stack([_cross_entropy(answers_class[t], said[s]).mean() for t, s in pairs]).mean()
        patch_loss = self._patch_loss(answers_patch, patch_tokens, hidden)
        spread_loss = torch.stack([_spread(tokens) for tokens in class_tokens.split(batch)]).sum()
        loss = class_loss + self.plan.patch_weight * patch_loss + self.plan.spread_weight * spread_loss
        return DistillationOutput(loss, class_loss, patch_loss, spread_loss)

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """The teacher is the student's moving average; none before the student's first step."""
        if step == 0:
            return
        momentum = 1.0 - (1.0 - self.plan.momentum) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.steps)))
        for mean, value in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(value, 1.0 - momentum)

    def _temperature(self, step: int) -> float:
        first, last = self.plan.teacher_temperature
        return first + (last - first) * min(1.0, step / max(1.0, self.plan.temperature_warmup * self.steps))

    @torch.no_grad()
    def _teach(self, whole: Tensor, hidden: Tensor, temperature: float) -> tuple[tuple[Tensor, ...], Tensor]:
        """Centred answers of the teacher: per global crop (B, prototypes), and of the hidden patches (M, prototypes)."""
        class_tokens, patch_tokens = self.teacher(whole)
        answers = sinkhorn(self.teacher.class_head(class_tokens), temperature)
        return answers.chunk(2), sinkhorn(self.teacher.patch_head(patch_tokens[hidden]), temperature)

    def _say(self, tokens: Tensor, batch: int) -> tuple[Tensor, ...]:
        return (self.student.class_head(tokens) / self.plan.student_temperature).split(batch)

    def _patch_loss(self, answers: Tensor, patch_tokens: Tensor, hidden: Tensor) -> Tensor:
        """Mean over the hidden patches of an image, then over the images that have any."""
        said = self.student.patch_head(patch_tokens[hidden]) / self.plan.student_temperature
        per_image = hidden.sum(1, keepdim=True).expand_as(hidden)[hidden]
        return (_cross_entropy(answers, said) / per_image).sum() / hidden.any(1).sum().clamp(min=1)


@torch.no_grad()
def sinkhorn(logits: Tensor, temperature: float, iterations: int = 3) -> Tensor:
    """Probabilities (N, K) in which every prototype is used as much, by Sinkhorn-Knopp: no collapse onto one of them."""
    count, prototypes = logits.shape
    if count == 0:
        return logits
    shares = torch.exp((logits - logits.max()).float() / temperature).T
    shares /= shares.sum()
    for _ in range(iterations):
        shares /= shares.sum(1, keepdim=True).clamp(min=1e-12) * prototypes
        shares /= shares.sum(0, keepdim=True).clamp(min=1e-12) * count
    return (shares * count).T


def _cross_entropy(answers: Tensor, logits: Tensor) -> Tensor:
    return -(answers * F.log_softmax(logits.float(), dim=-1)).sum(-1)


def _spread(tokens: Tensor) -> Tensor:
    """KoLeo: minus the mean logarithm of the distance to the nearest neighbour in the batch, on the unit sphere."""
    unit = F.normalize(tokens.float(), dim=-1, eps=1e-6)
    nearest = (unit @ unit.T).fill_diagonal_(-1.0).argmax(1)
    return -torch.log((unit - unit[nearest]).norm(dim=-1) + 1e-8).mean()


def _normalised(images: Tensor) -> Tensor:
    scale, shift = scale_and_shift(STATISTICS, images.device)
    return images * 255 * scale.unsqueeze(-1) + shift.unsqueeze(-1)
