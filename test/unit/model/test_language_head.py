import torch
from torch.nn import functional as F

from dial_core.model.language_head import greedy_answer, next_token_logits, next_token_loss


def test_the_loss_is_the_shifted_cross_entropy_of_the_labels(small_model, batch):
    labels = torch.full_like(batch.input_ids, -100)
    labels[0, -2:], labels[1, -1:] = batch.input_ids[0, -2:], batch.input_ids[1, -1:]
    logits = next_token_logits(small_model, batch.image_tokens, batch.input_ids, batch.attention_mask)
    assert logits.shape == (2, 11, small_model.arch.text.vocabulary)
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    loss = next_token_loss(small_model, batch.image_tokens, batch.input_ids, batch.attention_mask, labels)
    torch.testing.assert_close(loss, expected)


def test_pretraining_reaches_the_vision_tower_and_the_tied_embedding(small_model, batch):
    small_model.set_trainable("pretrain")
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    labels = batch.input_ids.clone()
    next_token_loss(small_model, small_model.vision_tokens(images), batch.input_ids, batch.attention_mask, labels).backward()
    without = [name for name, p in small_model.backbone.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without == []


def test_a_memorised_answer_is_given_greedily(small_model, batch):
    """Two prompts, two answers: a hundred steps learn them by heart, padding and positions included."""
    small_model.set_trainable("pretrain")
    answers = torch.tensor([[8, 40], [90, 21]])
    ids = torch.cat([batch.input_ids, answers], 1)
    mask = F.pad(batch.attention_mask, (0, 2), value=1)
    labels = torch.full_like(ids, -100)
    labels[:, -2:] = answers
    optimiser = torch.optim.AdamW([p for p in small_model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        next_token_loss(small_model, batch.image_tokens, ids, mask, labels).backward()
        optimiser.step()
    assert torch.equal(greedy_answer(small_model, batch.image_tokens, batch.input_ids, batch.attention_mask, 2), answers)
