"""Images to tokens: a backbone's vision tower, run as one batch of equal images.

transformers runs the towers over a packed sequence and splits it per image (and per window) inside every block. All
our images have one size, so the same weights run here as plain batched attention; windows of equal size become a batch of
their own, which needs no mask and so allows the flash kernel, others a mask. Equal to transformers' result in a test.
"""

from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional as F
from transformers.vision_utils import get_vision_interpolation_indices_and_weights

from dial_core.errors import DialError
from dial_core.model.attention import attend, rotated, signed
from dial_core.model.configuration import Architecture

Tower = Any
"""transformers' vision tower of the backbone, whose parts carry no types."""

# Channel statistics of the families' image processors, for pixels in [0, 1]: CLIP's, and Qwen3-VL's.
CLIP_STATISTICS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
PLAIN_STATISTICS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def patchify(pixels_BHWC: torch.Tensor, patch_size: int, merge: int, statistics: Statistics = CLIP_STATISTICS) -> torch.Tensor:
    """uint8 images (B, H, W, 3) to normalised patches (B, L, 3 * patch_size^2) in the image processor's order.

    Patches are ordered so that the merge x merge patches of one token are adjacent; a patch is (channel, row, column).
    """
    batch, height, width, channels = pixels_BHWC.shape
    rows, columns = height // patch_size, width // patch_size
    patches = pixels_BHWC.view(batch, rows // merge, merge, patch_size, columns // merge, merge, patch_size, channels)
    # Sorted while they are bytes; then the channels' statistics meet runs of equal channel.
    patches = patches.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, rows * columns, channels, patch_size**2)
    scale_C1, shift_C1 = scale_and_shift(statistics, pixels_BHWC.device)
    return (patches.float() * scale_C1 + shift_C1).flatten(2)


@lru_cache
def scale_and_shift(statistics: Statistics, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What brings pixel values in [0, 255] to mean 0 and deviation 1, (channels, 1) each."""
    with torch.inference_mode(False):  # made in inference mode, a later training step could not use it
        means, stds = torch.tensor(statistics, device=device).unsqueeze(-1)
        return 1 / (255 * stds), -means / stds


class VisionEncoder:
    """Runs Qwen2.5-VL's vision tower on images of the architecture's size. Holds no weights of its own."""

    statistics = CLIP_STATISTICS

    def __init__(self, arch: Architecture):
        self.size = (arch.image.height, arch.image.width)
        self.patch_size, self.merge, self.heads = arch.vision.patch_size, arch.vision.merge, arch.vision.heads
        self.full_attention = [i in arch.vision.full_attention_blocks for i in range(arch.vision.layers)]
        self.patch_rows, self.patch_columns = self._patch_positions(arch)
        window = self._windows(arch)
        self.window_order, self.windows = _equal_runs(window)
        self.patch_rows, self.patch_columns = self.patch_rows[self.window_order], self.patch_columns[self.window_order]
        self.window_mask = None if self.windows else window[:, None] == window[None, :]
        self.rotation: tuple[torch.Tensor, torch.Tensor] | None = None
        self.block = self.plain_block  # or compiled, by `DialModel.compile_blocks`

    def tokens(self, visual: Tower, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """uint8 (B, H, W, 3) to merged tokens (B, N, D).

        Raises:
            DialError: wrong dtype or size.
        """
        if pixels_BHWC.dtype != torch.uint8 or tuple(pixels_BHWC.shape[1:]) != (*self.size, 3):
            raise DialError(
                f"images must be uint8 (B, {self.size[0]}, {self.size[1]}, 3), got {pixels_BHWC.dtype} {tuple(pixels_BHWC.shape)}"
            )
        # The tower's convolution spans two frames; a still image is given twice, so its two kernels add up.
        kernel = sum(visual.patch_embed.proj.weight.unbind(2)).flatten(1)
        patches_BLP = patchify(pixels_BHWC, self.patch_size, self.merge, self.statistics)
        return self._blocks(visual, F.linear(patches_BLP.to(kernel.dtype), kernel, visual.patch_embed.proj.bias))

    def patch_tokens(self, visual: Tower, patches_BLP: torch.Tensor) -> torch.Tensor:
        """Patches as transformers' image processor gives them (B, L, 3 * 2 * patch_size^2) to tokens (B, N, D)."""
        kernel = visual.patch_embed.proj.weight.flatten(1)
        return self._blocks(visual, F.linear(patches_BLP.to(kernel.dtype), kernel, visual.patch_embed.proj.bias))

    def _blocks(self, visual: Tower, x_BLD: torch.Tensor) -> torch.Tensor:
        rotation = self._rotation(visual, x_BLD)
        in_order = self.windows < 2
        x_BLD = x_BLD if in_order else x_BLD[:, self.window_order]  # the patches of a window side by side; attention does not mind
        for block, full in zip(visual.blocks, self.full_attention, strict=True):
            x_BLD = self.block(block, x_BLD, rotation, None if full else self.window_mask, 1 if full else max(1, self.windows))
        tokens_BND = visual.merger(x_BLD).view(len(x_BLD), -1, visual.config.out_hidden_size)
        return tokens_BND if in_order else tokens_BND[:, self.token_order]

    def plain_block(self, block: Any, x_BLD, rotation, mask, windows: int = 1) -> torch.Tensor:
        """One block of the tower on patches (B, L, width), which attend within each of `windows` equal runs."""
        x_BLD = x_BLD + self._attend(block.attn, block.norm1(x_BLD), rotation, mask, windows)
        return x_BLD + block.mlp(block.norm2(x_BLD))

    def _attend(self, attention: Any, x_BLD, rotation, mask, windows: int = 1) -> torch.Tensor:
        batch, length, width = x_BLD.shape
        qkv = attention.qkv(x_BLD).view(batch, length, 3, self.heads, width // self.heads)
        qk = rotated(qkv[:, :, :2], *rotation)  # both turn alike
        # A window is a sequence of its own: (B W, heads, L / W, head width).
        q_BKLD, k_BKLD = qk.reshape(batch * windows, length // windows, *qk.shape[2:]).permute(2, 0, 3, 1, 4)
        v_BKLD = qkv[:, :, 2].reshape(batch * windows, length // windows, self.heads, -1).transpose(1, 2)
        out = attend(q_BKLD, k_BKLD, v_BKLD, mask)
        return attention.proj(out.transpose(1, 2).reshape(batch, length, width))

    def _rotation(self, visual: Tower, x_BLD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and signed sin (L, 1, 1, head width) of the patches' rows and columns, in the device and dtype of x.

        Computed once for each; brings the windows' order there too.
        """
        if self.rotation is None or (self.rotation[0].device, self.rotation[0].dtype) != (x_BLD.device, x_BLD.dtype):
            # Tensors made in inference mode could not be used by a later training step.
            with torch.inference_mode(False):
                positions = torch.stack([self.patch_rows, self.patch_columns], 1).to(x_BLD.device)
                cos, sin = (table.to(x_BLD.dtype)[:, None, None] for table in visual.rotary_pos_emb(positions.float(), positions))
                self.rotation = cos, signed(sin)
                self.window_order = self.window_order.to(x_BLD.device)
                self.token_order = self.window_order[:: self.merge**2].div(self.merge**2, rounding_mode="floor").argsort()
                self.window_mask = None if self.window_mask is None else self.window_mask.to(x_BLD.device)
        return self.rotation

    def _patch_positions(self, arch: Architecture) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = arch.patch_grid
        merge = self.merge
        # device="cpu": transformers builds models under a meta device, where tensors have no values.
        index = torch.arange(rows * columns, device="cpu").view(rows // merge, merge, columns // merge, merge)
        index = index.transpose(1, 2).flatten()
        return index // columns, index % columns

    def _windows(self, arch: Architecture) -> torch.Tensor:
        """The attention window of every patch (L,); one for all where every block attends to everything."""
        if all(self.full_attention):
            return torch.zeros_like(self.patch_rows)
        side = arch.vision.window_size // self.patch_size // self.merge * self.merge
        return (self.patch_rows // side) * arch.patch_grid[1] + self.patch_columns // side


def _equal_runs(window_L: torch.Tensor) -> tuple[torch.Tensor, int]:
    """An order of the patches in which those of a window stand side by side, and the number of windows; 0 if they differ in size."""
    counts = window_L.unique(return_counts=True)[1]
    if len(counts.unique()) > 1:
        return torch.arange(len(window_L), device=window_L.device), 0
    return window_L.argsort(stable=True), len(counts)


class DeepstackVisionEncoder(VisionEncoder):
    """Runs Qwen3-VL's vision tower: learned positions beside the rotary ones, and features from its depth.

    Tokens are (B, N, (1 + deepstack layers) D): the merged tokens, then each deeper feature.
    """

    statistics = PLAIN_STATISTICS

    def __init__(self, arch: Architecture):
        super().__init__(arch)
        self.resampling: tuple[torch.Tensor, torch.Tensor] | None = None

    def _blocks(self, visual: Tower, x_BLD: torch.Tensor) -> torch.Tensor:
        x_BLD = x_BLD + self._learned_positions(visual).to(x_BLD.dtype)
        rotation, deeper = self._rotation(visual, x_BLD), list[torch.Tensor]()
        for i, block in enumerate(visual.blocks):
            x_BLD = self.block(block, x_BLD, rotation, None)
            if i in visual.deepstack_visual_indexes:
                deeper.append(visual.deepstack_merger_list[len(deeper)](x_BLD))
        return torch.cat([tokens.view(len(x_BLD), -1, visual.config.out_hidden_size) for tokens in (visual.merger(x_BLD), *deeper)], -1)

    def _windows(self, arch: Architecture) -> torch.Tensor:
        """One for all: its blocks have no windows."""
        return torch.zeros_like(self.patch_rows)

    def _learned_positions(self, visual: Tower) -> torch.Tensor:
        """The position table (L, width), resampled to the image's patches."""
        table = visual.pos_embed.weight
        indices, weights = self._resampling(visual, table.device)
        return (table[indices].float() * weights.unsqueeze(-1)).sum(1)

    def _resampling(self, visual: Tower, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Which rows of the position table every patch takes (L, K), and their weights: found once a device."""
        if self.resampling is None or self.resampling[0].device != device:
            rows, columns = self.size[0] // self.patch_size, self.size[1] // self.patch_size
            with torch.inference_mode(False):
                indices, weights = get_vision_interpolation_indices_and_weights(
                    torch.tensor([[1, rows, columns]], device="cpu"),
                    num_grid_per_side=visual.num_grid_per_side,
                    mode=visual.interpolation_mode,
                    align_corners=visual.interpolation_align_corners,
                    spatial_merge_size=self.merge,
                )
                self.resampling = indices.to(device), weights.to(device)
        return self.resampling


def build_vision_encoder(arch: Architecture) -> VisionEncoder:
    """What runs the vision tower of the architecture's backbone."""
    return DeepstackVisionEncoder(arch) if arch.backbone == "qwen3_vl" else VisionEncoder(arch)
