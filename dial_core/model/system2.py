"""System-2, predictive intent: image and instruction to foresight (model.md; paper Sec. 3.2)."""

from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from dial_core.errors import DialError
from dial_core.model.backbone import build_backbone
from dial_core.model.bridges import padded_words
from dial_core.model.configuration import Architecture
from dial_core.model.positions import image_text_positions

P = TypeVar("P")


class Layout(NamedTuple):
    """Where the tokens of prompts stand: computed once for prompts that stay, because finding out waits for the device."""

    positions: torch.Tensor  # rotary (3, B, T + N)
    mask: torch.Tensor | None  # (B, 1, T + N, T + N); None without padding, which allows the faster causal kernel


class System2(nn.Module):
    """The vision-language backbone; N foresight queries and the foresight head, unless the bridge predicts nothing."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.image_token, self.token_grid = arch.tokens.image, arch.token_grid
        self.bridge, self.prompt_tokens = arch.bridge_rules, arch.prompt_tokens
        self.queries_at_image = arch.query_positions == "image"
        self.backbone = build_backbone(arch)
        predicts = self.bridge.predicts
        self.queries = nn.Parameter(torch.empty(arch.foresight_tokens, arch.width)) if predicts else None
        self.foresight_head = _head(arch.width, arch.view_width) if predicts else None
        self.world_head = _head(arch.width, arch.view_width) if arch.separate_world_head is True else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The queries, at the scale of the text embedding; the sub-modules initialise themselves."""
        if self.queries is not None:
            nn.init.normal_(self.queries, std=0.02)

    def keep_vision_tower_only(self) -> None:
        """Drops all but what encodes images: System-1 sees with the same tower, and on a computer of its own with nothing else."""
        self.queries = self.foresight_head = self.world_head = None
        whole: Any = self.backbone
        whole.language_model = nn.Module()

    def forward(
        self,
        image_tokens_BND: torch.Tensor,
        input_ids_BT: torch.Tensor,
        attention_mask_BT: torch.Tensor,
        layout: Layout | None = None,
    ) -> torch.Tensor:
        """Image tokens and left-padded prompts to the intent: what System-1 gets at run time; DIAL: the foresight (B, N, D).

        With the prompts' `layout` nothing waits for the device.

        Raises:
            DialError: a prompt is too long for a bridge that shows its words.
        """
        words, states = self.outputs(image_tokens_BND, input_ids_BT, attention_mask_BT, self.shown_queries, layout)
        if words is not None:
            words = padded_words(words, self.prompt_tokens)
        return self.bridge.message(words, None if states is None else self._required(self.foresight_head)(states))

    @property
    def shown_queries(self) -> torch.Tensor | None:
        """The queries (N, D) that run at run time: none where only words are shown, as a causal model's do not depend on them."""
        return self.queries if self.bridge.shows_foresight else None

    def outputs(
        self, image_tokens_BND, input_ids_BT, attention_mask_BT, queries_ND: torch.Tensor | None, layout: Layout | None = None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Final hidden states of the prompts (B, T, D), zero at padding, if the bridge shows them, and of the queries (B, N, D)."""
        hidden = self.hidden_states(image_tokens_BND, input_ids_BT, attention_mask_BT, queries_ND, layout)
        length = input_ids_BT.shape[1]
        words = hidden[:, :length] * attention_mask_BT.unsqueeze(-1).to(hidden.dtype) if self.bridge.shows_words else None
        return words, None if queries_ND is None else hidden[:, length:]

    def both_heads(self, states_BND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Query states to the foresight for System-1 and the one that L_world judges: the same, unless that has its own head."""
        foresight_BND = self._required(self.foresight_head)(states_BND)
        return foresight_BND, foresight_BND if self.world_head is None else self.world_head(states_BND)

    def query_states(self, image_tokens_BND, input_ids_BT, attention_mask_BT) -> torch.Tensor:
        """Hidden states (B, N, D) of the queries after the final norm; one causal pass, no decoding."""
        hidden = self.hidden_states(image_tokens_BND, input_ids_BT, attention_mask_BT, self._required(self.queries))
        return hidden[:, input_ids_BT.shape[1] :]

    def hidden_states(
        self,
        image_tokens_BND: torch.Tensor,
        input_ids_BT: torch.Tensor,
        attention_mask_BT: torch.Tensor,
        appended_ND: torch.Tensor | None = None,
        layout: Layout | None = None,
    ) -> torch.Tensor:
        """Final hidden states (B, T [+ N], D) of prompts with one image each.

        Args:
            image_tokens_BND: what stands at the image placeholders; features beyond the width D are not the language model's.
            input_ids_BT: left-padded token ids.
            attention_mask_BT: 1 at real tokens.
            appended_ND: vectors put after every prompt (the foresight queries).
            layout: of these prompts, if it is known.
        """
        layout = layout or self.layout(input_ids_BT, attention_mask_BT, 0 if appended_ND is None else len(appended_ND))
        # Hidden states add up in the dtype of the norms, also where the frozen table is kept in bfloat16.
        embeds_BTD = self.backbone.get_input_embeddings()(input_ids_BT).to(self.backbone.language_model.norm.weight.dtype)
        is_image_BT = input_ids_BT == self.image_token
        embeds_BTD = _with_image(embeds_BTD, is_image_BT, image_tokens_BND[..., : embeds_BTD.shape[-1]].to(embeds_BTD.dtype))
        if appended_ND is not None:
            embeds_BTD = torch.cat([embeds_BTD, appended_ND.to(embeds_BTD.dtype).expand(len(embeds_BTD), -1, -1)], 1)
        return self.backbone.read(embeds_BTD, layout.positions, layout.mask, image_tokens_BND, is_image_BT)

    def run_time_layout(self, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor) -> Layout:
        """The layout of prompts as `forward` reads them. Raises as `layout`."""
        return self.layout(input_ids_BT, attention_mask_BT, 0 if self.shown_queries is None else len(self.shown_queries))

    def layout(self, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor, extra: int) -> Layout:
        """The layout of left-padded prompts with `extra` tokens after each (the foresight queries).

        Raises:
            DialError: a prompt does not hold exactly one image.
        """
        positions = image_text_positions(input_ids_BT, attention_mask_BT, self.image_token, self.token_grid, extra, self.queries_at_image)
        return self.layout_at(positions, attention_mask_BT, not bool(attention_mask_BT.all()))

    @staticmethod
    def layout_at(positions_3BT: torch.Tensor, attention_mask_BT: torch.Tensor, padded: bool) -> Layout:
        """The layout of prompts whose positions, those of appended tokens included, are known, and whether one is padded."""
        # Without padding no mask is needed, and the faster causal kernel is used.
        return Layout(positions_3BT, _causal_mask(attention_mask_BT, positions_3BT.shape[-1]) if padded else None)

    def _required(self, part: P | None) -> P:
        """A part that only bridges with a world loss have.

        Raises:
            DialError: this one has none.
        """
        if part is None:
            raise DialError("this model's bridge predicts nothing: it has no foresight queries and no foresight head")
        return part


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs))


def _with_image(embeds_BTD: torch.Tensor, is_image_BT: torch.Tensor, image_tokens_BND: torch.Tensor) -> torch.Tensor:
    """The embeddings with every prompt's image tokens, in order, at its placeholders.

    A scatter by mask would do, but its size depends on values: no exporter's graph can hold that without `NonZero`.
    """
    place_BT = (is_image_BT.cumsum(1) - 1).clamp(0, image_tokens_BND.shape[1] - 1)
    images_BTD = image_tokens_BND.gather(1, place_BT.unsqueeze(-1).expand(-1, -1, embeds_BTD.shape[-1]))
    return torch.where(is_image_BT.unsqueeze(-1), images_BTD, embeds_BTD)


def _causal_mask(attention_mask_BT: torch.Tensor, length: int) -> torch.Tensor:
    """True (B, 1, length, length) where a token attends: to itself and to earlier ones that are not padding.

    transformers would make it of the two-dimensional mask too, but reads its values, which waits for the device.
    """
    present_BT = nn.functional.pad(attention_mask_BT, (0, length - attention_mask_BT.shape[1]), value=1).bool()
    causal = torch.ones(length, length, dtype=torch.bool, device=attention_mask_BT.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=attention_mask_BT.device)  # padding too: a row must not be empty
    return ((causal & present_BT[:, None]) | itself)[:, None]
