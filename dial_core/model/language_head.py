"""The backbone as a language model: next-token training and greedy answers through the tied text embedding.

Only pretraining uses this: DIAL itself never decodes text.
"""

import torch
from torch.nn import functional as F

from dial_core.model.dial import DialModel
from dial_core.model.prompt import IGNORED


def next_token_logits(
    model: DialModel, image_tokens_BND: torch.Tensor, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor
) -> torch.Tensor:
    """Logits (B, T, vocabulary); position t scores token t + 1."""
    hidden = model.system2.hidden_states(image_tokens_BND, input_ids_BT, attention_mask_BT)
    return F.linear(hidden, model.backbone.language_model.embed_tokens.weight)


def next_token_loss(
    model: DialModel,
    image_tokens_BND: torch.Tensor,
    input_ids_BT: torch.Tensor,
    attention_mask_BT: torch.Tensor,
    labels_BT: torch.Tensor,
    elements: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean cross-entropy of the labelled tokens (labels unshifted, -100 is ignored), or their sum over `elements`."""
    hidden = model.system2.hidden_states(image_tokens_BND, input_ids_BT, attention_mask_BT)
    targets = labels_BT[:, 1:]
    counts = targets != IGNORED
    # Logits only where a label is: the prompt's positions are most of the sequence.
    logits = F.linear(hidden[:, :-1][counts], model.backbone.language_model.embed_tokens.weight)
    total = F.cross_entropy(logits.float(), targets[counts], reduction="sum")
    return total / (counts.sum().clamp(min=1) if elements is None else elements)


@torch.no_grad()
def greedy_answer(
    model: DialModel,
    image_tokens_BND: torch.Tensor,
    input_ids_BT: torch.Tensor,
    attention_mask_BT: torch.Tensor,
    tokens: int = 3,
) -> torch.Tensor:
    """The likeliest next `tokens` ids (B, tokens) after every prompt."""
    length = input_ids_BT.shape[1]
    for _ in range(tokens):
        logits = next_token_logits(model, image_tokens_BND, input_ids_BT, attention_mask_BT)[:, -1]
        input_ids_BT = torch.cat([input_ids_BT, logits.argmax(-1, keepdim=True)], 1)
        attention_mask_BT = F.pad(attention_mask_BT, (0, 1), value=1)
    return input_ids_BT[:, length:]
