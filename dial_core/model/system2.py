"""System-2, predictive intent: image and instruction to foresight (model.md; paper Sec. 3.2)."""

import torch
from torch import nn

from dial_core.model.backbone import build_backbone, image_text_positions
from dial_core.model.configuration import Architecture


class System2(nn.Module):
    """The vision-language backbone, N foresight queries and the foresight head."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.image_token, self.token_grid = arch.tokens.image, arch.token_grid
        self.backbone = build_backbone(arch)
        self.queries = nn.Parameter(torch.empty(arch.foresight_tokens, arch.width))
        self.foresight_head = _head(arch.width)
        self.world_head = _head(arch.width) if arch.separate_world_head is True else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The queries, at the scale of the text embedding; the sub-modules initialise themselves."""
        nn.init.normal_(self.queries, std=0.02)

    def forward(self, image_tokens_BND: torch.Tensor, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor) -> torch.Tensor:
        """Image tokens and left-padded prompts to foresight (B, N, D)."""
        return self.foresight_head(self.query_states(image_tokens_BND, input_ids_BT, attention_mask_BT))

    def both_heads(self, states_BND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Query states to the foresight for System-1 and the one that L_world judges: the same, unless that has its own head."""
        foresight_BND = self.foresight_head(states_BND)
        return foresight_BND, foresight_BND if self.world_head is None else self.world_head(states_BND)

    def query_states(self, image_tokens_BND, input_ids_BT, attention_mask_BT) -> torch.Tensor:
        """Hidden states (B, N, D) of the queries after the final norm; one causal pass, no decoding."""
        hidden = self.hidden_states(image_tokens_BND, input_ids_BT, attention_mask_BT, self.queries)
        return hidden[:, -len(self.queries) :]

    def hidden_states(
        self,
        image_tokens_BND: torch.Tensor,
        input_ids_BT: torch.Tensor,
        attention_mask_BT: torch.Tensor,
        appended_ND: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Final hidden states (B, T [+ N], D) of prompts with one image each.

        Args:
            image_tokens_BND: what stands at the image placeholders.
            input_ids_BT: left-padded token ids.
            attention_mask_BT: 1 at real tokens.
            appended_ND: vectors put after every prompt (the foresight queries).
        """
        extra = 0 if appended_ND is None else len(appended_ND)
        positions = image_text_positions(input_ids_BT, attention_mask_BT, self.image_token, self.token_grid, extra)
        embeds_BTD = self.backbone.get_input_embeddings()(input_ids_BT)
        is_image = (input_ids_BT == self.image_token).unsqueeze(-1)
        embeds_BTD = embeds_BTD.masked_scatter(is_image, image_tokens_BND.to(embeds_BTD.dtype))
        if appended_ND is not None:
            embeds_BTD = torch.cat([embeds_BTD, appended_ND.to(embeds_BTD.dtype).expand(len(embeds_BTD), -1, -1)], 1)
        # Without padding no mask is needed, and the faster causal kernel is used.
        mask = None if bool(attention_mask_BT.all()) else nn.functional.pad(attention_mask_BT, (0, extra), value=1)
        return self.backbone.language_model(
            inputs_embeds=embeds_BTD, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
