import pytest
import torch

from dial_core.errors import DialError
from dial_core.model.backbone import build_backbone
from dial_core.model.positions import image_text_positions


def test_positions_equal_transformers_rope_index_under_left_padding(make_architecture, batch):
    arch = make_architecture()
    backbone = build_backbone(arch)
    queries = torch.full((2, 4), 140)
    ids = torch.cat([batch.input_ids, queries], 1)
    mask = torch.nn.functional.pad(batch.attention_mask, (0, 4), value=1)
    expected, _ = backbone.get_rope_index(
        ids,
        mm_token_type_ids=(ids == arch.tokens.image).int(),
        image_grid_thw=torch.tensor([[1, 4, 4]] * 2),
        attention_mask=mask,
    )
    ours = image_text_positions(batch.input_ids, batch.attention_mask, arch.tokens.image, arch.token_grid, extra=4)
    assert torch.equal(ours * mask, expected * mask)


def test_positions_of_a_wide_image_follow_rows_and_columns():
    ids = torch.tensor([[0, 5, 9, 9, 9, 9, 9, 9, 5]])
    positions = image_text_positions(ids, (ids != 0).long(), image_token=9, token_grid=(2, 3))
    assert positions[0, 0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 4]
    assert positions[1, 0].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 4]
    assert positions[2, 0].tolist() == [0, 0, 1, 2, 3, 1, 2, 3, 4]


def test_queries_at_the_image_stand_where_its_tokens_stand_whatever_the_prompt_is_long():
    ids = torch.tensor([[0, 0, 5, 9, 9, 9, 9, 9, 9, 5], [5, 5, 9, 9, 9, 9, 9, 9, 5, 5]])
    positions = image_text_positions(ids, (ids != 0).long(), 9, (2, 3), extra=6, extra_at_image=True)
    assert positions.shape == (3, 2, 16)
    assert torch.equal(positions[:, 0, 10:], positions[:, 0, 3:9])
    assert torch.equal(positions[:, 1, 10:], positions[:, 1, 2:8])
    assert torch.equal(positions[..., :10], image_text_positions(ids, (ids != 0).long(), 9, (2, 3)))


def test_queries_at_the_image_need_one_token_each():
    ids = torch.tensor([[5, 9, 9, 9, 9, 5]])
    with pytest.raises(DialError, match="3 appended tokens cannot stand at the 4 tokens"):
        image_text_positions(ids, torch.ones_like(ids), 9, (2, 2), extra=3, extra_at_image=True)


@pytest.mark.parametrize("ids", [[5, 9, 9, 9, 5, 5], [5, 9, 9, 5, 9, 9], [5, 5, 5, 5, 5, 5]], ids=["short", "split", "none"])
def test_a_prompt_without_exactly_one_whole_image_is_refused(ids):
    ids = torch.tensor([ids])
    with pytest.raises(DialError, match="4 adjacent image tokens"):
        image_text_positions(ids, torch.ones_like(ids), image_token=9, token_grid=(2, 2))


def test_the_backbone_refuses_calls_that_would_use_text_only_positions(make_architecture):
    backbone = build_backbone(make_architecture())
    with pytest.raises(DialError, match="mm_token_type_ids"):
        backbone(input_ids=torch.tensor([[1, 2, 3]]))
    with pytest.raises(DialError, match="position_ids"):
        backbone(inputs_embeds=torch.zeros(1, 3, 32))
