"""A second, frozen vision tower: DINOv2's tokens as foresight target and System-1's view (bridge `dino`; paper Sec. 4.2)."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Dinov2Config, Dinov2Model

from dial_core.model.configuration import Architecture
from dial_core.model.vision import scale_and_shift

# Of ImageNet, for pixels in [0, 1], as DINOv2 was trained.
STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class DinoView(nn.Module):
    """uint8 images to as many tokens as the backbone has; each is the mean of its patches."""

    def __init__(self, arch: Architecture):
        super().__init__()
        config = arch.view_encoder
        assert config is not None  # the architecture's own check
        self.grid, self.patch_size, self.width = arch.token_grid, config.patch_size, config.width
        self.tower = Dinov2Model(
            Dinov2Config(
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                patch_size=config.patch_size,
                image_size=config.pretrained_size,
            )
        )
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) to (B, N, width)."""
        patches = self.patches_of(self.tower, pixels_BHWC)
        rows = pixels_BHWC.shape[1] // self.patch_size
        grid_BDHW = patches.transpose(1, 2).unflatten(-1, (rows, -1))
        return F.adaptive_avg_pool2d(grid_BDHW, self.grid).flatten(2).transpose(1, 2)

    @staticmethod
    @torch.no_grad()
    def patches_of(tower: Dinov2Model, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """uint8 images (B, H, W, 3) to the tower's patch tokens (B, P, width), row by row."""
        scale_C1, shift_C1 = scale_and_shift(STATISTICS, pixels_BHWC.device)
        values = pixels_BHWC.permute(0, 3, 1, 2).float() * scale_C1.unsqueeze(-1) + shift_C1.unsqueeze(-1)
        dtype = tower.embeddings.patch_embeddings.projection.weight.dtype
        return tower(values.to(dtype)).last_hidden_state[:, 1:]  # the first is the class token
