"""The controlled variants: what crosses from System-2 to System-1 (model.md, "The controlled variants"; paper Sec. 4.2).

One row of `BRIDGES` is all that distinguishes two variants; every computation is shared. What crosses, the *intent*, is a
sequence of tokens (B, M, D): the language model's outputs on the prompt ("words"), the foresight, or one after the other.
A row of zeros in it is padding, masked wherever tokens attend: prompts differ in length.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from dial_core.errors import DialError


@dataclass(frozen=True)
class Bridge:
    """What the action decoder sees through the fusion, and what System-2 learns from.

    Attributes:
        shows_words: all of the language model's outputs on the prompt, image tokens included.
        shows_foresight: the foresight (in warmup: the true goal).
        shows_view: the current view, from the vision tower.
        predicts: there are foresight queries, a foresight head and L_world.
        trains_language: the language model learns; otherwise all of the VLM is frozen.
    """

    shows_words: bool = False
    shows_foresight: bool = False
    shows_view: bool = False
    predicts: bool = True
    trains_language: bool = True

    @property
    def shows_images(self) -> bool:
        """Whether tokens of an image, predicted or seen, are part of the condition."""
        return self.shows_foresight or self.shows_view

    def message(self, words_BTD: torch.Tensor | None, foresight_BND: torch.Tensor | None) -> torch.Tensor:
        """The intent (B, M, D): what the bridge shows of the two."""
        shown = [words_BTD] if self.shows_words else []
        shown += [foresight_BND] if self.shows_foresight else []
        tokens = [part for part in shown if part is not None]
        return tokens[0] if len(tokens) == 1 else torch.cat(tokens, 1)

    def split(self, intent_BMD: torch.Tensor, foresight_tokens: int) -> list[torch.Tensor]:
        """The intent's words (B, T, D), if it shows them, and its foresight (B, N, D), if it shows that; N last."""
        words = intent_BMD.shape[1] - (foresight_tokens if self.shows_foresight else 0)
        return [part for part in intent_BMD.split([words, intent_BMD.shape[1] - words], 1) if part.shape[1]]


BRIDGES = {
    "dial": Bridge(shows_foresight=True, shows_view=True),
    "dino": Bridge(shows_foresight=True, shows_view=True),  # in the space of another encoder: Architecture.view_encoder
    "frozen": Bridge(shows_words=True, predicts=False, trains_language=False),
    "finetuned": Bridge(shows_words=True, predicts=False),
    "flare": Bridge(shows_words=True),
    "seer": Bridge(shows_words=True, shows_foresight=True),
    "seer_ev": Bridge(shows_words=True, shows_foresight=True, shows_view=True),
}


def present_rows(tokens_BMD: torch.Tensor) -> torch.Tensor:
    """True (B, M) where a token is more than padding."""
    return (tokens_BMD != 0).any(-1)


def padded_words(words_BTD: torch.Tensor, length: int) -> torch.Tensor:
    """The words in `length` rows, the first ones zero: what travels has one shape, whatever the instruction.

    Raises:
        DialError: there are more words.
    """
    missing = length - words_BTD.shape[1]
    if missing < 0:
        raise DialError(f"a prompt of {words_BTD.shape[1]} tokens does not fit prompt_tokens ({length}); shorten the instruction")
    return F.pad(words_BTD, (0, 0, missing, 0))
