"""Instructions to prompts: chat template, image placeholders, instruction, generation prompt."""

from typing import Self

import torch
from transformers import PreTrainedTokenizerBase

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture

IMAGE = "<|image_pad|>"
IGNORED = -100  # label of positions without a target
NO_IMAGE_TEMPLATE = (
    "the tokenizer's chat template makes no prompt of an image and a text: that of a Qwen-VL's processor is needed, in the tokenizer's "
    "folder as chat_template.jinja"
)
CITED = 80  # characters of an instruction in an error


class Prompter:
    """Builds left-padded prompts of one image (N placeholder tokens) and one instruction each."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, image_tokens: int, prefix: str = "", longest: int | None = None):
        """`prefix`: text before every instruction, as the contract says; `longest`: most tokens of a prompt, None: any number."""
        self.tokenizer, self.prefix = tokenizer, prefix
        self.image_tokens, self.longest = image_tokens, longest
        image_id = tokenizer.convert_tokens_to_ids(IMAGE)
        if not isinstance(image_id, int) or tokenizer.convert_ids_to_tokens(image_id) != IMAGE:
            raise DialError(f"the tokenizer has no {IMAGE} token: a Qwen-VL tokenizer is needed")
        self.image_id = image_id
        self._template_ids("go")  # a template without images is found here, and not at the first instruction
        added = {place for place, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._control_ids = added - {tokenizer.unk_token_id}

    @classmethod
    def for_model(cls, tokenizer: PreTrainedTokenizerBase, arch: Architecture, prefix: str = "") -> Self:
        """The prompter of a model: a bridge that shows words has `prompt_tokens` rows for them, and no longer prompt fits."""
        return cls(tokenizer, arch.foresight_tokens, prefix, arch.prompt_tokens if arch.bridge_rules.shows_words else None)

    def require_encodable(self, instruction: str) -> None:
        """Checks that an instruction becomes a prompt of this model.

        Raises:
            DialError: it is empty, contains a control token of the tokenizer, or is too long; names the instruction and what to do.
        """
        self.prompt_ids(instruction)

    def prompt_ids(self, instruction: str) -> list[int]:
        """Token ids of one prompt; the generation prompt stands last. Raises as `require_encodable`."""
        self._require_words(instruction)
        ids = self._template_ids(self.prefix + instruction)
        place = ids.index(self.image_id)
        prompt = ids[:place] + [self.image_id] * self.image_tokens + ids[place + 1 :]
        if self.longest is not None and len(prompt) > self.longest:
            raise DialError(
                f"the instruction '{_cited(instruction)}' makes a prompt of {len(prompt)} tokens, {self.longest} fit "
                "(prompt_tokens of this model); shorten it"
            )
        return prompt

    def encode(self, instructions: list[str], answer_starts: list[str] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Instructions to input_ids_BT, attention_mask_BT (long), left padded. `answer_starts`: the first words of each answer."""
        starts = [self.tokenizer.encode(text, add_special_tokens=False) for text in answer_starts or [""] * len(instructions)]
        return self._pad([self.prompt_ids(text) + start for text, start in zip(instructions, starts, strict=True)])

    def encode_answers(self, questions: list[str], answers: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Prompts followed by their answers and the end-of-turn token, with labels for next-token training.

        Returns:
            input_ids_BT, attention_mask_BT, labels_BT (-100 at prompt and padding); left padded.
        """
        prompts = [self.prompt_ids(question) for question in questions]
        targets = [[*self.tokenizer.encode(answer, add_special_tokens=False), self.tokenizer.eos_token_id] for answer in answers]
        input_ids_BT, mask_BT = self._pad([prompt + target for prompt, target in zip(prompts, targets, strict=True)])
        labels_BT = torch.full_like(input_ids_BT, IGNORED)
        for row, target in zip(labels_BT, targets, strict=True):
            row[-len(target) :] = torch.tensor(target)
        return input_ids_BT, mask_BT, labels_BT

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that the vocabulary does not hold, in order (empty for sub-word tokenizers)."""
        unknown_id = self.tokenizer.unk_token_id
        if unknown_id is None:
            return []
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [text[begin:end] for token, (begin, end) in spans if token == unknown_id]

    def _template_ids(self, text: str) -> list[int]:
        """Token ids of one turn with an image and a text, as the chat template writes it. Raises DialError if it writes no image."""
        content = [{"type": "image"}, {"type": "text", "text": text}]
        messages: list = [{"role": "user", "content": content}]
        try:
            written = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except (TypeError, ValueError) as error:  # a template for text alone adds it to the list of parts; ValueError: there is no template
            raise DialError(f"{NO_IMAGE_TEMPLATE} ({error})") from error
        ids: list[int] = self.tokenizer.encode(str(written), add_special_tokens=False)
        if ids.count(self.image_id) != 1:
            raise DialError(f"{NO_IMAGE_TEMPLATE} (it writes {IMAGE} {ids.count(self.image_id)} times)")
        return ids

    def _require_words(self, instruction: str) -> None:
        """Raises DialError for an instruction that is empty, or whose text the tokenizer reads as one of its control tokens."""
        if not instruction.strip():
            raise DialError("the instruction is empty")
        read = self.tokenizer.encode(instruction, add_special_tokens=False)
        if control := sorted({str(self.tokenizer.convert_ids_to_tokens(place)) for place in read if place in self._control_ids}):
            raise DialError(
                f"the instruction '{_cited(instruction)}' contains {', '.join(control)}, which stands for a part of the prompt "
                "(an image, the end of a turn); write it without"
            )

    def _pad(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        return ids, mask


def _cited(instruction: str) -> str:
    return instruction if len(instruction) <= CITED else f"{instruction[:CITED]}..."
