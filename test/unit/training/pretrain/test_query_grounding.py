import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dial_core.config import load_config
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training.pretrain.grounding import vocabularies_of
from dial_core.training.pretrain.query_grounding import CollateNamed, NamedObjects, QueryGrounding
from dial_core.training.pretrain.views import Views

GRID = (6, 6)
NAMES = ["can", "cup", "palm", "plate"]


def questions(pixels: list[list[tuple[float, float]]], seed: int = 0) -> NamedObjects:
    """Views of 96x96 with the given places of `NAMES`; token t of every view is t in all its features."""
    views = Views(np.zeros((len(pixels), 96, 96, 3), np.uint8), np.array(pixels, np.float32), NAMES, ["PlacematToPlate"] * len(pixels))
    tokens = np.broadcast_to(np.arange(36, dtype=np.float16)[:, None], (len(pixels), 36, 32))
    return NamedObjects(tokens, views, vocabularies_of({"in_distribution": 1.0}, NAMES), GRID, seed)


MISSING = (np.nan, np.nan)
CAN_AND_CUP = [(17.0, 3.0), (95.0, 95.0), (50.0, 50.0), (30.0, 60.0)]
CUP_ALONE = [MISSING, (5.0, 90.0), MISSING, (30.0, 60.0)]
NOTHING = [MISSING, MISSING, (40.0, 40.0), (30.0, 60.0)]


@pytest.fixture(scope="module")
def grounding() -> QueryGrounding:
    torch.manual_seed(0)
    values = load_config(Architecture, "models", "dial_tiny").model_dump()
    values["vision"] |= {"layers": 1, "width": 32, "ffn_width": 48, "heads": 2, "full_attention_blocks": (0,)}
    values["text"] |= {"layers": 1, "width": 32, "ffn_width": 48, "heads": 2, "kv_heads": 1, "rope_sections": (2, 3, 3)}
    values["decoder"] |= {"layers": 1, "heads": 2, "head_width": 12, "output_width": 16, "rim_width": 20}
    values["fusion"] |= {"layers": 1, "heads": 2, "head_width": 16}
    return QueryGrounding(DialModel(DialConfig(Architecture.model_validate(values))))


def test_an_instruction_names_the_object_that_its_token_shows():
    asked = questions([CAN_AND_CUP, NOTHING, CUP_ALONE])
    assert asked.naming == [0, 2]
    seen = {(shown, "can" in text, "cup" in text) for _, text, shown in (asked[number] for number in range(60))}
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


def test_the_loss_is_that_of_the_named_place(grounding):
    asked = questions([CAN_AND_CUP])
    batch = CollateNamed(Prompter(tiny_tokenizer(), 36))([asked[number] for number in range(4)])
    logits = grounding.shows(batch["image_tokens"], batch["input_ids"], batch["attention_mask"])
    torch.testing.assert_close(grounding(**batch).loss, -logits.log_softmax(-1)[torch.arange(4), batch["shown"]].mean())


def test_every_query_of_the_model_begins_as_the_vector_that_was_learned(grounding):
    grounding.hand_over()
    batch = CollateNamed(Prompter(tiny_tokenizer(), 36))([questions([CAN_AND_CUP])[0]])
    rows = batch["image_tokens"], batch["input_ids"], batch["attention_mask"]
    torch.testing.assert_close(grounding.names(grounding.model.system2.query_states(*rows))[..., 0], grounding.shows(*rows))


def test_the_measurement_asks_for_every_object_once(grounding):
    report = grounding.measure(questions([CAN_AND_CUP, NOTHING, CUP_ALONE]), Prompter(tiny_tokenizer(), 36))
    assert report["several"] == 2
    assert report["right_token"] in (0.0, 0.3333, 0.6667, 1.0)
    assert report["right_token_of_several"] in (0.0, 0.5, 1.0)
    with torch.no_grad():
        grounding.names.weight.zero_()
        grounding.names.bias.zero_()
    assert grounding.measure(questions([[(3.0, 3.0), MISSING, MISSING, MISSING]]), Prompter(tiny_tokenizer(), 36))["right_token"] == 1.0
