"""Which instructions `set_instruction` refuses: one that it accepts becomes a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dial_core.checkpoint.trained_on import means_stop
from dial_core.errors import DialError

if TYPE_CHECKING:
    from dial_core.inference.system2_session import System2Session


def objection_to(text: str, longest: int, session: System2Session) -> str:
    """Returns why an instruction is refused, and what to do instead; empty: it is accepted. `longest`: most characters."""
    if not text:
        return "the instruction is empty; say what to do, e.g. 'pick the can from the placemat and place it on the plate'"
    if means_stop(text):
        return f"'{text}' is no instruction: call system1/pause, or system1/estop, to stop the robot"
    if len(text) > longest:
        return f"the instruction has {len(text)} characters, at most {longest} are accepted (max_instruction_length)"
    try:
        session.require_encodable(text)
    except DialError as error:
        return str(error)
    return ""
