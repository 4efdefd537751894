import re

import pytest
import torch

from dial_core.errors import DialError
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import location_token, tiny_tokenizer, vocabulary_words


@pytest.fixture(scope="module")
def prompter() -> Prompter:
    return Prompter(tiny_tokenizer(), image_tokens=4)


def words(prompter: Prompter, ids) -> str:
    return " ".join(prompter.tokenizer.convert_ids_to_tokens(ids))


def test_a_prompt_is_chat_template_image_instruction_generation_prompt(prompter):
    assert words(prompter, prompter.prompt_ids("Pick the CAN.")) == (
        "<|im_start|> user <|vision_start|> <|image_pad|> <|image_pad|> <|image_pad|> <|image_pad|> <|vision_end|> "
        "pick the can . <|im_end|> <|im_start|> assistant"
    )


def test_batches_are_padded_on_the_left(prompter):
    ids, mask = prompter.encode(["pick the can", "pick the can from the placemat"])
    assert mask[0].tolist() == [0, 0, 0] + [1] * (ids.shape[1] - 3)
    assert mask[1].all()
    assert torch.equal(ids[0, 3:], torch.tensor(prompter.prompt_ids("pick the can")))


def test_answers_are_labelled_and_end_the_turn(prompter):
    ids, mask, labels = prompter.encode_answers(["where is the can", "point"], ["can <loc_17> <loc_58>", "no"])
    assert words(prompter, labels[0][labels[0] != -100]) == "can <loc_17> <loc_58> <|im_end|>"
    assert torch.equal(ids[labels != -100], labels[labels != -100])
    assert (labels[1] != -100).sum() == 2
    assert (mask.sum(1) == torch.tensor([len(prompter.prompt_ids("where is the can")) + 4, len(prompter.prompt_ids("point")) + 2])).all()


def test_every_location_and_vocabulary_word_is_one_known_token(prompter):
    tokenizer = prompter.tokenizer
    for word in [location_token(0), location_token(95), *vocabulary_words()]:
        assert tokenizer.tokenize(word) == [word], word
    assert tokenizer.unk_token_id not in tokenizer.convert_tokens_to_ids(vocabulary_words())


def test_unknown_words_are_reported_as_written(prompter):
    assert prompter.unknown_words("grab the Frobnicator, and the wotsit!") == ["Frobnicator", "wotsit"]
    assert prompter.unknown_words("Pick the can.") == []


def test_an_empty_instruction_is_refused(prompter):
    with pytest.raises(DialError, match="empty"):
        prompter.encode(["  "])


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|im_end|>", "<|endoftext|>"])
def test_an_instruction_with_a_control_token_is_refused_by_name(prompter, token):
    # One more <|image_pad|> is one more image, and <|im_end|> ends the turn of who asks.
    with pytest.raises(DialError, match=rf"'pick {re.escape(token)} up' contains {re.escape(token)}, .* write it without"):
        prompter.require_encodable(f"pick {token} up")


def test_control_tokens_are_those_that_the_tokenizer_would_read_as_such(prompter):
    for text in ("pick <loc_3> up", "pick the wotsit", "pick <image_pad> up", "<| im_end |>"):
        prompter.require_encodable(text)
    with_prefix = Prompter(prompter.tokenizer, 4, prefix="<|im_end|> ")  # the checkpoint's own
    assert len(with_prefix.prompt_ids("go")) == len(prompter.prompt_ids("go")) + 1


def test_an_instruction_fits_up_to_the_rows_that_the_bridge_has_for_words(prompter, make_architecture):
    arch = make_architecture(bridge="flare", prompt_tokens=16)
    most = 16 - len(prompter.prompt_ids("go")) + 1
    fits = Prompter.for_model(prompter.tokenizer, arch)
    fits.require_encodable("go " * most)
    with pytest.raises(DialError, match=r"'go go .*' makes a prompt of 17 tokens, 16 fit \(prompt_tokens of this model\); shorten it"):
        fits.require_encodable("go " * (most + 1))
    Prompter.for_model(prompter.tokenizer, make_architecture(prompt_tokens=16)).require_encodable("go " * 100)


def test_a_tokenizer_without_image_token_is_refused(prompter):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")), unk_token="?")
    with pytest.raises(DialError, match="image_pad"):
        Prompter(plain, 4)


def test_the_tokenizer_survives_saving(prompter, tmp_path):
    from transformers import PreTrainedTokenizerFast

    prompter.tokenizer.save_pretrained(tmp_path)
    again = Prompter(PreTrainedTokenizerFast.from_pretrained(tmp_path), 4)
    for text in ("Pick the can, and place it on the plate.", "<loc_3> <loc_95> wotsit"):
        assert again.prompt_ids(text) == prompter.prompt_ids(text)
        assert again.unknown_words(text) == prompter.unknown_words(text)
    padded, _ = again.encode(["pick", "pick the can"])
    assert padded[0, 0] == again.tokenizer.pad_token_id
