"""Does the foresight carry the intent? The same scenes with foresights that carry another one, an old one, none, or the truth."""

from __future__ import annotations

from pathlib import Path

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.evaluate import evaluate
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol

OTHER_NAMED = "the other object named"

# Name in the table -> what is changed in the protocol.
PROBES: dict[str, dict[str, str | int]] = {
    "own foresight": {},
    OTHER_NAMED: {"instruct": "other"},
    "foresight of a wrong instruction": {"foresight": "wrong_instruction"},
    "foresight of zeros": {"foresight": "zeros"},
    "foresight 0.8 s old": {"system2_delay_steps": 16},
    "frozen first foresight": {"foresight": "first_frame"},
    "the expert's true future": {"foresight": "expert_future"},
}


def probe(protocol: Protocol, source: PolicySource, out: Path, workers: int, names: tuple[str, ...] = ()) -> dict[str, dict]:
    """The summary of every probe (or of those named), by its name in the table; each resumable in its own folder.

    Raises:
        DialError: an unknown name, or as `evaluate`.
    """
    unknown = [name for name in names if name not in PROBES]
    if unknown:
        raise DialError(f"no probe '{unknown[0]}'; probes: {', '.join(PROBES)}")
    return {name: evaluate(protocol.model_copy(update=PROBES[name]), source, out / folder_of(name), workers) for name in names or PROBES}


def folder_of(name: str) -> str:
    """A probe's name as a folder."""
    return name.replace("'", "").replace(" ", "_")
