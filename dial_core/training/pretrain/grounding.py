"""Questions and answers about a view: the text on which the tiny VLM learns to see.

An answer writes a place as two location words, x then y: `<loc_17> <loc_58>`, one bin a pixel of the 96x96 image (more
pixels: `bin = pixel * bins / size`). Names come in random order, so each name must be read from the image and not from
its rank. The instruction form answers what System-2 needs to know: where is the named object, where is it to go, where is
the hand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dial_core.model.tokenizer import LOCATION_BINS, location_token
from dial_core.sim.catalogue import load_object
from dial_core.sim.suite import load_suite
from dial_core.sim.task import Task

Places = dict[str, tuple[float, float]]
"""Type (or `palm`, `thumb`, `handle`) -> (x, y) [px]."""

LIST_PROMPTS = ("point to everything", "point to all things")
WHERE_PROMPTS = ("where is the {name}", "point to the {name}")
HAND_AND_FIXTURE = ("palm", "thumb", "handle")


@dataclass(frozen=True)
class Vocabulary:
    """What the views of one task can name.

    Attributes:
        nouns: type -> how people call it.
        objects: types that an instruction may name.
        target: type of where the object goes.
        phrases: instructions with {object}, {source}, {target} and {place}.
        source: type of where the object comes from.
    """

    nouns: dict[str, str]
    objects: frozenset[str]
    source: str
    target: str
    phrases: tuple[str, ...]

    def instruct(self, name: str, rng: np.random.Generator) -> str:
        """An instruction of the task that names the object type `name`."""
        phrase = str(rng.choice(self.phrases))
        nouns = {"object": self.nouns[name], "source": self.nouns[self.source], "target": self.nouns[self.target]}
        return phrase.format(**nouns, place=load_object(self.target).place)

    def unambiguous(self, places: Places) -> Places:
        """The places whose noun names one visible thing only: of two plates, neither can be asked for by name."""
        count = Counter(self.nouns[name] for name in places)
        return {name: xy for name, xy in places.items() if count[self.nouns[name]] == 1}

    def nameable(self, places: Places) -> Places:
        """The objects among the places that an instruction can name without doubt."""
        return self.unambiguous({name: xy for name, xy in places.items() if name in self.objects})


def vocabularies_of(suites: dict[str, float], names: list[str], wordings: tuple[str, ...] = ()) -> dict[str, Vocabulary]:
    """Task name -> its vocabulary, for all tasks of `suites` and everything that views annotate (`names`).

    `wordings`: further instructions that no task has, for the words that a pretrained model knows beside the tasks' own.
    """
    nouns = {name: name if name in HAND_AND_FIXTURE else load_object(name).called for name in names}
    return {task.name: vocabulary_of(task, nouns, wordings) for suite in suites for task in load_suite(suite).tasks}


def vocabulary_of(task: Task, nouns: dict[str, str], wordings: tuple[str, ...] = ()) -> Vocabulary:
    """The vocabulary of one task among all things that have `nouns`."""
    nouns = nouns | {name: load_object(name).called for name in (task.source, task.target)}
    objects = frozenset(name for name in nouns if name not in HAND_AND_FIXTURE and not load_object(name).fixed)
    return Vocabulary(nouns, objects, task.source, task.target, (*task.instructions, *wordings))


def location(x_px: float, y_px: float, size_px: int) -> str:
    """The two location words of a pixel."""
    bins = np.clip(np.array([x_px, y_px]) * LOCATION_BINS / size_px, 0, LOCATION_BINS - 1).astype(int)
    return f"{location_token(int(bins[0]))} {location_token(int(bins[1]))}"


def place(name: str, places: Places, size_px: int, words: Vocabulary) -> str:
    """`noun <loc_x> <loc_y>`."""
    return f"{words.nouns[name]} {location(*places[name], size_px)}"


def list_form(places: Places, size_px: int, rng: np.random.Generator, words: Vocabulary) -> tuple[str, str]:
    """Everything in view, in random order."""
    names = rng.permutation(list(places))
    return str(rng.choice(LIST_PROMPTS)), " ".join(place(name, places, size_px, words) for name in names)


def where_form(places: Places, size_px: int, rng: np.random.Generator, words: Vocabulary) -> tuple[str, str]:
    """One thing in view."""
    name = str(rng.choice(list(places)))
    return str(rng.choice(WHERE_PROMPTS)).format(name=words.nouns[name]), place(name, places, size_px, words)


def relation_form(places: Places, size_px: int, rng: np.random.Generator, words: Vocabulary) -> tuple[str, str]:
    """Is one thing left of (behind) another in the image: both places, then yes or no."""
    first, second = (str(name) for name in rng.choice(list(places), 2, replace=False))
    axis, word = (0, "left of") if rng.random() < 0.5 else (1, "behind")
    answer = "yes" if places[first][axis] < places[second][axis] else "no"
    said = f"{place(first, places, size_px, words)} {place(second, places, size_px, words)} {answer}"
    return f"is the {words.nouns[first]} {word} the {words.nouns[second]}", said


def instruction_form(places: Places, size_px: int, rng: np.random.Generator, words: Vocabulary, rest: bool = True) -> tuple[str, str]:
    """An instruction of the task; the named object, the target, the handle and the hand, as far as in view, then all the `rest`."""
    name = str(rng.choice(list(words.nameable(places))))
    wanted = [known for known in (name, words.target, "handle", "palm") if known in places]
    if rest:
        wanted += [str(other) for other in rng.permutation(list(places)) if other not in wanted]
    return words.instruct(name, rng), " ".join(place(known, places, size_px, words) for known in wanted)


def names_objects(places: Places, words: Vocabulary) -> bool:
    """Whether an instruction can name one of the things in view."""
    return bool(words.nameable(places))


def question(places: Places, size_px: int, rng: np.random.Generator, words: Vocabulary) -> tuple[str, str]:
    """A (prompt, answer) about one view, of a random form that the view allows."""
    draw, single = rng.random(), words.unambiguous(places)
    if draw < 0.4 and names_objects(places, words):
        return instruction_form(places, size_px, rng, words)
    if draw < 0.5 and len(single) >= 2:
        return relation_form(single, size_px, rng, words)
    if draw < 0.6 and single:
        return where_form(single, size_px, rng, words)
    return list_form(places, size_px, rng, words)


def object_question(places: Places, size_px: int, rng: np.random.Generator, words: Vocabulary) -> tuple[str, str]:
    """A (prompt, answer) about one of the objects in view: an instruction that names it, or where it is."""
    if rng.random() < 0.7:
        return instruction_form(places, size_px, rng, words, rest=False)
    return where_form(words.nameable(places), size_px, rng, words)


def shift_view(image: np.ndarray, places: Places, reach_px: int, rng: np.random.Generator) -> tuple[np.ndarray, Places]:
    """The view moved by up to `reach_px` in x and y (edges repeated), its places with it; out of view is dropped."""
    height, width = image.shape[:2]
    dx, dy = (int(step) for step in rng.integers(-reach_px, reach_px + 1, 2))
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    columns = np.clip(np.arange(width) - dx, 0, width - 1)
    moved = {name: (x + dx, y + dy) for name, (x, y) in places.items()}
    inside = {name: (x, y) for name, (x, y) in moved.items() if 0 <= x < width and 0 <= y < height}
    return image[rows][:, columns], inside
