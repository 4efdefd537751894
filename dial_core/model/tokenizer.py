"""The tiny model's tokenizer: one token a word, `<loc_0>`..`<loc_95>` for image places, Qwen's chat markers."""

from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dial_core.config import config_root
from dial_core.errors import DialError

PAD, UNKNOWN, TURN_START, TURN_END = "<|endoftext|>", "<unk>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = (PAD, UNKNOWN, TURN_START, TURN_END, VISION_START, VISION_END, IMAGE, VIDEO)
LOCATION_BINS = 96  # one a pixel of the 96x96 view

# Qwen's template without its system turn and line breaks: every token costs time on a CPU.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message.role }} "
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %} {{ part.text }} {% endif %}"
    "{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant{% endif %}"
)


def location_token(bin_index: int) -> str:
    """The word for a place along one image axis, bin 0..95."""
    return f"<loc_{bin_index}>"


def vocabulary_words(path: Path | None = None) -> list[str]:
    """The words of the vocabulary file (one or more a line, `#` starts a comment), in order, without repeats.

    Raises:
        DialError: no such file.
    """
    path = path or config_root() / "models" / "dial_tiny_vocabulary.txt"
    if not path.is_file():
        raise DialError(f"vocabulary file {path} does not exist")
    lines = (line.split("#")[0] for line in path.read_text().splitlines())
    return list(dict.fromkeys(word for line in lines for word in line.lower().split()))


def build_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer: special tokens first, then locations, then the words."""
    locations = [location_token(i) for i in range(LOCATION_BINS)]
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *locations, *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=TURN_END,
        additional_special_tokens=[TURN_START, VISION_START, VISION_END, IMAGE, VIDEO],
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.add_tokens(locations)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of `dial_tiny`."""
    return build_tokenizer(vocabulary_words())
