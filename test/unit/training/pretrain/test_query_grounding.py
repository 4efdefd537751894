import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dial_core.config import load_config
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.language_head import next_token_loss
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training.pretrain.grounding import vocabularies_of
from dial_core.training.pretrain.query_grounding import (
    COPY_WEIGHT,
    WHERE_WEIGHT,
    CollateNamed,
    NamedObjects,
    QueryCopying,
    QueryPointing,
    Readouts,
)
from dial_core.training.pretrain.views import Views

GRID = (6, 6)
NAMES = ["can", "cup", "palm", "plate"]


def questions(pixels: list[list[tuple[float, float]]], seed: int = 0, text_share: float = 0.0) -> NamedObjects:
    """Views of 96x96 with the given places of `NAMES`; token t of every view is t in all its features."""
    views = Views(np.zeros((len(pixels), 96, 96, 3), np.uint8), np.array(pixels, np.float32), NAMES, ["PlacematToPlate"] * len(pixels))
    tokens = np.broadcast_to(np.arange(36, dtype=np.float16)[:, None], (len(pixels), 36, 32))
    return NamedObjects(tokens, views, vocabularies_of({"in_distribution": 1.0}, NAMES), GRID, seed, text_share)


MISSING = (np.nan, np.nan)
CAN_AND_CUP = [(17.0, 3.0), (95.0, 95.0), (50.0, 50.0), (30.0, 60.0)]
CUP_ALONE = [MISSING, (5.0, 90.0), MISSING, (30.0, 60.0)]
NOTHING = [MISSING, MISSING, (40.0, 40.0), (30.0, 60.0)]


@pytest.fixture(scope="module")
def pointing() -> QueryPointing:
    torch.manual_seed(0)
    values = load_config(Architecture, "models", "dial_tiny").model_dump()
    values["vision"] |= {"layers": 1, "width": 32, "ffn_width": 48, "heads": 2, "full_attention_blocks": (0,)}
    values["text"] |= {"layers": 1, "width": 32, "ffn_width": 48, "heads": 2, "kv_heads": 1, "rope_sections": (2, 3, 3)}
    values["decoder"] |= {"layers": 1, "heads": 2, "head_width": 12, "output_width": 16, "rim_width": 20}
    values["fusion"] |= {"layers": 1, "heads": 2, "head_width": 16}
    return QueryPointing(DialModel(DialConfig(Architecture.model_validate(values))))


def test_an_instruction_names_the_object_that_its_token_shows():
    asked = questions([CAN_AND_CUP, NOTHING, CUP_ALONE])
    assert asked.naming == [0, 2]
    seen = {(shown, "can" in text, "cup" in text) for _, text, shown, *_ in (asked[number] for number in range(60))}
    assert seen == {(1, True, False), (35, False, True), (30, False, True)}


ASKED = questions([CUP_ALONE])


@given(st.floats(0, 96, exclude_max=True), st.floats(0, 96, exclude_max=True))
def test_a_pixel_lies_in_its_token(x, y):
    row, column = divmod(ASKED.token_at(x, y), 6)
    assert row * 16 <= y < (row + 1) * 16
    assert column * 16 <= x < (column + 1) * 16


def test_samples_are_those_of_their_number_and_of_the_seed():
    first, again, other = (questions([CAN_AND_CUP, CUP_ALONE], seed) for seed in (0, 0, 1))
    assert [first[number][1:] for number in range(20)] == [again[number][1:] for number in range(20)]
    assert [first[number][1:] for number in range(20)] != [other[number][1:] for number in range(20)]


@pytest.fixture
def batch():
    asked = questions([CAN_AND_CUP])
    return CollateNamed(Prompter(tiny_tokenizer(), 36))([asked[number] for number in range(4)])


def test_queries_begin_as_the_vector_that_was_learned_and_point_as_before(pointing, batch):
    pointing.hand_over()
    copying = QueryCopying(pointing.model, pointing.readouts)
    torch.testing.assert_close(copying(**batch).place_loss, pointing(**batch).place_loss)
    torch.testing.assert_close(copying(**batch).where_loss, pointing(**batch).where_loss)


def test_the_losses_are_those_of_the_tokens_given_back_and_of_the_named_place(pointing, batch):
    copying = QueryCopying(pointing.model, pointing.readouts)
    output = copying(**batch)
    copied, states = copying.answers(batch["image_tokens"], batch["input_ids"], batch["attention_mask"])
    logits = copying.readouts.names(states)[..., 0]
    torch.testing.assert_close(output.copy_loss, ((copied - batch["image_tokens"]) ** 2).mean())
    torch.testing.assert_close(output.place_loss, -logits.log_softmax(-1)[torch.arange(4), batch["shown"]].mean())
    assert output.loss == COPY_WEIGHT * output.copy_loss + output.place_loss + WHERE_WEIGHT * output.where_loss


def asked_in_text(share: float, seed: int = 0) -> NamedObjects:
    return questions([CAN_AND_CUP, CUP_ALONE], seed, share)


def test_a_share_of_the_samples_is_asked_in_text_so_that_it_is_not_forgotten(pointing):
    items = [asked_in_text(0.5)[number] for number in range(8)]
    assert 0 < sum(question is not None for *_, question in items) < 8
    batch = CollateNamed(Prompter(tiny_tokenizer(), 36), text=True)(items)
    answers = [tiny_tokenizer().decode(row[row >= 0]) for row in batch["labels"]]
    for answer, number in zip(answers, batch["question_of"], strict=True):
        assert answer.startswith(items[number][3][1])
    rows = batch["question_ids"], batch["question_mask"], batch["labels"]
    expected = next_token_loss(pointing.model, batch["image_tokens"][batch["question_of"]], *rows)
    output = pointing(**batch)
    torch.testing.assert_close(output.text_loss, expected)
    torch.testing.assert_close(output.loss, output.place_loss + WHERE_WEIGHT * output.where_loss + expected)
    assert pointing(**CollateNamed(Prompter(tiny_tokenizer(), 36))(items)).text_loss is None


@pytest.mark.parametrize("module", ["pointing", "copying"])
def test_a_batch_cut_into_parts_has_the_text_loss_of_the_whole(pointing, module):
    model = pointing if module == "pointing" else QueryCopying(pointing.model, pointing.readouts)
    items, collate = [asked_in_text(0.5)[number] for number in range(6)], CollateNamed(Prompter(tiny_tokenizer(), 36), text=True)
    whole = collate(items)
    elements = (whole["labels"][:, 1:] >= 0).sum()
    parts = [model(**collate([item]), label_elements=elements).text_loss for item in items]
    assert any(part == 0 for part in parts), "of a sample without a question"
    torch.testing.assert_close(sum(parts), model(**whole).text_loss)


def test_every_query_is_taught_where_the_named_object_is():
    readouts = Readouts(2, GRID)
    torch.testing.assert_close(Readouts(2, (2, 4)).centres(torch.tensor([0, 6])), torch.tensor([[-0.75, -0.5], [0.25, 0.5]]))
    torch.testing.assert_close(readouts.centres(torch.tensor([0, 5, 35])), torch.tensor([[-5.0, -5.0], [5.0, -5.0], [5.0, 5.0]]) / 6)
    with torch.no_grad():
        readouts.where.weight.copy_(torch.eye(2))
        readouts.where.bias.zero_()
    states = readouts.centres(torch.tensor([7, 20]))[:, None].repeat(1, 36, 1)
    assert readouts.losses(states, torch.tensor([7, 20]))[1] == 0
    states[1, 30, 0] += 0.6
    torch.testing.assert_close(readouts.losses(states, torch.tensor([7, 20]))[1], torch.tensor(0.36 / 144))


def test_copying_trains_queries_and_head_as_well(pointing, batch):
    pointing.model.set_trainable("pretrain")
    copying = QueryCopying(pointing.model, pointing.readouts)
    copying(**batch).loss.backward()
    moved = {name for name, parameter in pointing.model.system2.named_parameters() if parameter.grad is not None}
    assert {"queries", "foresight_head.0.weight", "foresight_head.2.bias"} <= moved
    assert not {name for name in moved if "visual" in name}


def test_the_measurement_asks_for_every_object_once(pointing):
    copying = QueryCopying(pointing.model, pointing.readouts)
    report = copying.measure(questions([CAN_AND_CUP, NOTHING, CUP_ALONE]), Prompter(tiny_tokenizer(), 36))
    assert report["several"] == 2
    assert report["right_token"] in (0.0, 0.3333, 0.6667, 1.0)
    assert report["right_token_of_several"] in (0.0, 0.5, 1.0)
    with torch.no_grad():
        copying.readouts.names.weight.zero_()
        copying.readouts.names.bias.zero_()
    assert copying.measure(questions([[(3.0, 3.0), MISSING, MISSING, MISSING]]), Prompter(tiny_tokenizer(), 36))["right_token"] == 1.0
