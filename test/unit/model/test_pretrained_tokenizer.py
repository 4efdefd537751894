"""A Qwen's tokenizer with the template that writes images, in every way that its folders are laid out.

pytest test/unit/model/test_pretrained_tokenizer.py
"""

import json
from pathlib import Path

import pytest

from dial_core.errors import DialError
from dial_core.model.pretrained import load_tokenizer
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import CHAT_TEMPLATE, tiny_tokenizer

# What the template in Qwen2.5-VL's tokenizer_config.json does with a turn: it takes its content for a text.
TEXT_ALONE = "{% for message in messages %}{{ '<|im_start|>' + message.role + message.content + '<|im_end|>' }}{% endfor %}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """The layout of Qwen2.5-VL on the hub: one template for text in the tokenizer's configuration, the processor's in a file of its own."""
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    in_configuration(tmp_path, TEXT_ALONE)
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    return tmp_path


def in_configuration(folder: Path, template: str) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))


def prompt(tokenizer) -> list[int]:
    return Prompter(tokenizer, image_tokens=4).prompt_ids("pick the can")


def test_the_processors_template_is_taken_where_the_tokenizers_own_is_for_text_alone(folder):
    assert prompt(load_tokenizer(folder)) == prompt(tiny_tokenizer())


def test_a_checkpoint_keeps_that_template(folder, tmp_path):
    load_tokenizer(folder).save_pretrained(tmp_path / "start")
    assert prompt(load_tokenizer(tmp_path / "start")) == prompt(tiny_tokenizer())


def test_the_tokenizers_own_template_comes_first_if_it_writes_images(folder):
    in_configuration(folder, CHAT_TEMPLATE.replace("{{ message.role }}", "{{ message.role }} please"))
    assert len(prompt(load_tokenizer(folder))) == len(prompt(tiny_tokenizer())) + 1


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (TEXT_ALONE, r"\(can only concatenate str .*\)"),
        ("{% for message in messages %}{{ message.role }}{% endfor %}", r"\(it writes <\|image_pad\|> 0 times\)"),
        (CHAT_TEMPLATE.replace("<|image_pad|>", "<|image_pad|> <|image_pad|>"), r"\(it writes <\|image_pad\|> 2 times\)"),
    ],
)
def test_a_template_that_makes_no_prompt_with_an_image_is_refused_before_anything_is_written(folder, template, said):
    (folder / "chat_template.json").unlink()
    in_configuration(folder, template)
    advice = "that of a Qwen-VL's processor is needed, in the tokenizer's folder as chat_template.jinja"
    refusal = rf"the tokenizer at '{folder}' cannot be used: .*{advice} {said}; or name another one with --tokenizer"
    with pytest.raises(DialError, match=refusal):
        load_tokenizer(folder)


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(DialError, match=f"(?s)no tokenizer at '{tmp_path}': .*; name one with --tokenizer"):
        load_tokenizer(tmp_path)
