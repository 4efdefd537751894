"""Batches have no padding that all prompts share, and what the collator finds out spares the model from doing so.

pytest test/unit/training/test_collating.py
"""

import torch

from dial_core.training.collating import LENGTH_UNIT, trimmed


def prompts(lengths: list[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.tensor([[0] * (width - length) + [1] * length for length in lengths])
    return mask * torch.arange(1, width + 1), mask


def test_padding_that_all_prompts_share_is_cut_to_a_multiple():
    ids, mask = prompts([9, 13], 40)
    cut_ids, cut_mask = trimmed(ids, mask)
    assert cut_mask.shape == (2, 2 * LENGTH_UNIT)
    assert torch.equal(cut_ids, ids[:, -2 * LENGTH_UNIT :])
    assert cut_mask.sum(1).tolist() == [9, 13]


def test_prompts_that_are_not_that_long_are_padded_up_to_it():
    ids, mask = prompts([9, 13], 13)
    cut_ids, cut_mask = trimmed(ids, mask)
    assert cut_mask.sum(1).tolist() == [9, 13]
    assert torch.equal(cut_ids[:, 3:], ids)
