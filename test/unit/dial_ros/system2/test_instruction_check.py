"""What `set_instruction` refuses, and why: an instruction that it accepts must not end the node at the next frame."""

import pytest

from dial_core.errors import DialError
from dial_ros.system2.instruction_check import objection_to


class Session:
    """Stands for System-2's session."""

    def require_encodable(self, instruction):
        if "<|" in instruction:
            raise DialError("contains a control token")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the instruction is empty; say what to do"),
        ("please stop", "'please stop' is no instruction: call system1/pause"),
        ("pick the can up", "has 15 characters, at most 14 are accepted (max_instruction_length)"),
        ("<|image_pad|>", "contains a control token"),
    ],
)
def test_what_cannot_become_a_prompt_is_refused_with_the_reason(text, words):
    assert words in objection_to(text, 14, Session())


def test_an_instruction_that_can_be_encoded_is_accepted():
    assert objection_to("pick the can", 14, Session()) == ""
