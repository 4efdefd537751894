"""What a checkpoint was asked to do in training, so that an operator learns what it was never asked. Readable without weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = "trained_on.json"
MOST = 2000  # instructions kept; their words are what counts
STOP_WORDS = frozenset({"stop", "halt", "wait", "freeze", "pause", "abort", "cancel", "quit"})
STOP_PHRASES = frozenset({"stand still", "don't move", "do not move", "hold on", "no", "emergency stop", "e stop", "estop"})
FILLERS = frozenset({"please", "now", "ok", "okay", "robot", "hey", "just"})


@dataclass(frozen=True)
class TrainedOn:
    """The distinct instructions of a checkpoint's training data; empty: unknown."""

    instructions: tuple[str, ...] = ()

    @classmethod
    def of(cls, instructions: Iterable[str]) -> TrainedOn:
        """Distinct, sorted, and bounded so that every word stays."""
        kept: dict[str, None] = {}
        words: set[str] = set()
        for text in sorted(set(instructions)):
            if len(kept) < MOST or not set(words_of(text)) <= words:
                kept[text] = None
                words |= set(words_of(text))
        return cls(tuple(kept))

    @classmethod
    def load(cls, folder: str | Path) -> TrainedOn:
        """Of a checkpoint's folder; unknown where it says nothing, or nothing readable."""
        try:
            return cls(tuple(str(text) for text in json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))["instructions"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self, folder: str | Path) -> None:
        """Writes the file into a folder that is still being made."""
        (Path(folder) / FILE).write_text(json.dumps({"instructions": self.instructions}, indent=1) + "\n", encoding="utf-8")

    def untrained_words(self, text: str) -> list[str]:
        """Words of an instruction that no training instruction has, in order, each once; none if the training is unknown."""
        if not self.instructions:
            return []
        known = {word for instruction in self.instructions for word in words_of(instruction)}
        return list(dict.fromkeys(word for word in words_of(text) if word not in known))


def words_of(text: str) -> list[str]:
    """Its words in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def means_stop(text: str) -> bool:
    """Whether a text asks the robot to stop rather than to do something: in doubt it does ("stop the music" is a stop)."""
    words = words_of(text)
    while words and words[0] in FILLERS:
        words = words[1:]
    while words and words[-1] in FILLERS:
        words = words[:-1]
    return bool(words) and (words[0] in STOP_WORDS or " ".join(words) in STOP_PHRASES)


def warning_of(trained_on: TrainedOn, unknown: Sequence[str], text: str) -> str:
    """What an operator should know before the robot does `text`; empty: nothing. `unknown`: words outside the vocabulary."""
    parts = []
    if unknown:
        parts.append(f"not in the model's vocabulary: {', '.join(unknown)}")
    untrained = [word for word in trained_on.untrained_words(text) if word not in {each.lower() for each in unknown}]
    if untrained:
        parts.append(f"in no training instruction: {', '.join(untrained)}; the robot may do something else")
    return "; ".join(parts)
