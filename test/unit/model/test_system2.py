import torch
from torch.nn import functional as F

from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.training.collating import ChunkCollator, trimmed


def test_query_states_equal_a_plain_forward_of_the_qwen_model(small_model, batch):
    """The reference puts the queries into the vocabulary, as the release does, and lets Qwen2_5_VLModel do the rest."""
    arch, system2 = small_model.arch, small_model.system2.eval()
    ids = torch.cat([batch.input_ids, torch.arange(700, 704).expand(2, -1)], 1)
    with torch.no_grad():
        small_model.backbone.get_input_embeddings().weight[700:704] = system2.queries
        embeds = small_model.backbone.get_input_embeddings()(ids)
        embeds[ids == arch.tokens.image] = batch.image_tokens.flatten(0, 1)
        positions, _ = small_model.backbone.get_rope_index(
            ids,
            mm_token_type_ids=(ids == arch.tokens.image).int(),
            image_grid_thw=torch.tensor([[1, 4, 4]] * 2),
            attention_mask=F.pad(batch.attention_mask, (0, 4), value=1),
        )
        expected = small_model.backbone(
            inputs_embeds=embeds, position_ids=positions, attention_mask=F.pad(batch.attention_mask, (0, 4), value=1)
        ).last_hidden_state[:, -4:]
        ours = system2.query_states(batch.image_tokens, batch.input_ids, batch.attention_mask)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_a_left_padded_row_gives_the_same_foresight_as_alone(small_model, batch):
    padded = small_model.system2(batch.image_tokens, batch.input_ids, batch.attention_mask)[1]
    alone = small_model.system2(batch.image_tokens[1:], batch.input_ids[1:, 3:], batch.attention_mask[1:, 3:])[0]
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


def test_foresight_depends_on_instruction_and_image(small_model, batch):
    def foresight(image_tokens, input_ids):
        return small_model.system2(image_tokens, input_ids, batch.attention_mask)

    base = foresight(batch.image_tokens, batch.input_ids)
    other_words = batch.input_ids.clone()
    other_words[:, -1] = 150
    assert base.shape == (2, 4, 32)
    assert (foresight(batch.image_tokens, other_words) - base).abs().max() > 1e-4
    assert (foresight(batch.image_tokens + 0.5, batch.input_ids) - base).abs().max() > 1e-4


def test_queries_at_the_image_stand_alike_in_training_and_at_run_time(make_architecture, batch):
    """The collator computes positions on the host, System-2 where it runs: both have to place the queries by the architecture."""
    torch.manual_seed(0)
    model = DialModel(DialConfig(make_architecture(query_positions="image"))).eval()
    behind_text = DialModel(DialConfig(make_architecture())).eval()
    behind_text.load_state_dict(model.state_dict())
    ids, mask = trimmed(batch.input_ids, batch.attention_mask)
    placed = ChunkCollator(model.arch).positions(ids, mask)
    assert torch.equal(placed, model.system2.run_time_layout(ids, mask).positions)
    images_BND = batch.image_tokens
    ours = model.system2(images_BND, ids, mask, model.system2.layout_at(placed, mask, padded=True))
    torch.testing.assert_close(ours, model.system2(images_BND, ids, mask))
    assert (ours - behind_text.system2(images_BND, ids, mask)).abs().max() > 1e-4
