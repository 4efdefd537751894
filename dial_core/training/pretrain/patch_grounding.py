"""Which image token shows what, and where a token is: dense supervision of the tiny vision tower while it is pretrained.

Next-token training alone has to learn seeing and reading at once: it rests on a plateau for hundreds of steps. And DIAL
needs more of these tokens than text does: System-1's fusion adds no position code (model.md, System-1, 1), so every
token itself must carry its place in the image. The heads here are thrown away after pretraining.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OFFSET_WEIGHT = 4.0  # squared cells are small numbers: brings the three terms to one scale


class PatchGrounding(nn.Module):
    """Linear heads on the merged image tokens, and their loss."""

    def __init__(self, width: int, names: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.shows = nn.Linear(width, names)
        self.offset = nn.Linear(width, 2 * names)
        self.position = nn.Linear(width, 2)
        centres = torch.linspace(-1, 1, side)
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        self.register_buffer("grid_N2", torch.stack([columns, rows], -1).flatten(0, 1), persistent=False)

    def forward(self, image_tokens_BND: Tensor, places_BK2: Tensor) -> Tensor:
        """Scalar loss of tokens (B, N, D) given where the K names are in view.

        Args:
            image_tokens_BND: merged tokens, row by row.
            places_BK2: (x, y) as shares of the image in [0, 1), NaN where a name is not in view.

        Returns:
            Cross-entropy over the N tokens of "which one shows it" per visible name, plus the squared error [cell^2]
            of the place inside that token, plus the squared error of each token's own place in [-1, 1].
        """
        seen_BK = torch.isfinite(places_BK2[..., 0])
        cells_V2 = places_BK2[seen_BK] * self.side
        corner_V2 = cells_V2.floor().clamp(0, self.side - 1)
        token_V = (corner_V2[:, 1] * self.side + corner_V2[:, 0]).long()
        batch_V, name_V = seen_BK.nonzero(as_tuple=True)

        logits_VN = self.shows(image_tokens_BND).transpose(1, 2)[batch_V, name_V]
        shows_loss = F.cross_entropy(logits_VN, token_V)
        showing_VD = image_tokens_BND[batch_V, token_V]
        offset_V2 = self.offset(showing_VD).view(len(token_V), -1, 2)[torch.arange(len(token_V)), name_V]
        offset_loss = F.mse_loss(offset_V2, cells_V2 - corner_V2 - 0.5)
        grid_N2 = self.get_buffer("grid_N2")
        position_loss = F.mse_loss(self.position(image_tokens_BND), grid_N2.expand(len(image_tokens_BND), -1, -1))
        return shows_loss + OFFSET_WEIGHT * offset_loss + position_loss
