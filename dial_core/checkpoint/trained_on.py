"""What a checkpoint was asked to do in training, so that an operator learns what it was never asked. Readable without weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dial_core.files.atomic import write_json

FILE = "trained_on.json"
MOST = 2000  # instructions kept; their words are what counts
STOP_WORDS = frozenset({"stop", "halt", "wait", "freeze", "pause", "abort", "cancel", "quit"})
STOP_PHRASES = frozenset({"stand still", "don't move", "do not move", "hold on", "no", "emergency stop", "e stop", "estop"})
FILLERS = frozenset({"please", "now", "ok", "okay", "robot", "hey", "just"})


ARTICLES = frozenset({"the", "a", "an", "its", "that", "this"})
FROM, TO = frozenset({"from", "off", "of"}), frozenset({"on", "onto", "in", "into", "inside", "to", "under", "over", "beside"})
PHRASE_ENDS = FROM | TO | {"and", "then", "it", "with", "up", "down", "away", "closed", "open", "out"}


@dataclass(frozen=True)
class Roles:
    """What an instruction names: the object to move, where it is taken from and where it goes; empty where it does not say."""

    object: str = ""
    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class TrainedOn:
    """What a checkpoint's training data asked for; empty: unknown.

    Attributes:
        instructions: the distinct ones.
        tasks: names of the simulated tasks they were given for, where the data says so.
    """

    instructions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    @classmethod
    def of(cls, instructions: Iterable[str], tasks: Iterable[str] = ()) -> TrainedOn:
        """Distinct, sorted, and bounded so that every word stays."""
        kept: dict[str, None] = {}
        words: set[str] = set()
        for text in sorted(set(instructions)):
            if len(kept) < MOST or not set(words_of(text)) <= words:
                kept[text] = None
                words |= set(words_of(text))
        return cls(tuple(kept), tuple(sorted({task for task in tasks if task})))

    @classmethod
    def load(cls, folder: str | Path) -> TrainedOn:
        """Of a checkpoint's folder; unknown where it says nothing, or nothing readable."""
        try:
            stored = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
            return cls(*(tuple(str(text) for text in stored.get(key, ())) for key in ("instructions", "tasks")))
        except (OSError, ValueError, AttributeError, TypeError):
            return cls()

    def save(self, folder: str | Path) -> None:
        """Writes the file into a folder that is still being made."""
        write_json(Path(folder) / FILE, self.card())

    def card(self) -> dict[str, tuple[str, ...]]:
        """The checkpoint's card: tasks, objects, sources, targets and wordings beside the instructions they were read from."""
        named = {
            f"{role}s": tuple(sorted({getattr(roles, role) for roles in self._roles} - {""})) for role in ("object", "source", "target")
        }
        wordings = tuple(sorted({wording_of(text) for text in self.instructions}))
        return {"tasks": self.tasks, **named, "wordings": wordings, "instructions": self.instructions}

    def untrained_words(self, text: str) -> list[str]:
        """Words of an instruction that no training instruction has, in order, each once; none if the training is unknown."""
        if not self.instructions:
            return []
        return list(dict.fromkeys(word for word in words_of(text) if word not in self._words))

    def untrained_roles(self, text: str) -> list[str]:
        """What an instruction asks for that no training instruction asked for, in words, although every word of it occurs in some."""
        asked, card = roles_of(text), self.card()
        if not card["objects"] or self.untrained_words(text):
            return []
        said = {"object": "moving the {}", "source": "taking from the {}", "target": "placing at the {}"}
        found = [
            phrase.format(name)
            for role, phrase in said.items()
            if (name := getattr(asked, role)) and card[f"{role}s"] and name not in card[f"{role}s"]
        ]
        pairs = {(roles.object, roles.target) for roles in self._roles}
        if not found and asked.object and asked.target and (asked.object, asked.target) not in pairs:
            found = [f"the {asked.object} to the {asked.target}"]
        return found

    def task_warning(self, task: str, instruction: str = "") -> str:
        """What to know before a simulated task is tried with this checkpoint; empty: it was trained on it, or nothing is known."""
        if task and self.tasks and task not in self.tasks:
            return f"this checkpoint was not trained on {task}, only on {', '.join(self.tasks)}; the robot may do something else"
        return warning_of(self, [], instruction) if instruction else ""

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(word for instruction in self.instructions for word in words_of(instruction))

    @cached_property
    def _roles(self) -> tuple[Roles, ...]:
        return tuple(roles_of(text) for text in self.instructions)


def roles_of(text: str) -> Roles:
    """Object, source and target of an instruction, by its articles and prepositions."""
    found: dict[str, str] = {}
    role = "object"
    phrase: list[str] | None = None
    for word in [*words_of(text), "and"]:
        if phrase is not None and (word in PHRASE_ENDS or word in ARTICLES):
            if phrase:
                found.setdefault(role, " ".join(phrase))
            phrase = None
        if word in FROM or word in TO:
            role = "source" if word in FROM else "target"
        elif word in ARTICLES:
            phrase = []
        elif phrase is not None:
            phrase.append(word)
        if word in ("and", "then"):
            role = "object"
    return Roles(**found)


def wording_of(text: str) -> str:
    """An instruction with its nouns replaced by their roles: "put the {object} on the {target}"."""
    words = " ".join(words_of(text))
    roles = roles_of(text)
    for role in ("object", "source", "target"):
        if name := getattr(roles, role):
            words = re.sub(rf"\b{re.escape(name)}\b", f"{{{role}}}", words)
    return words


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
    elif roles := trained_on.untrained_roles(text):
        parts.append(f"never trained: {', '.join(roles)}; the robot may do something else")
    return "; ".join(parts)
