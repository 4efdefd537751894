"""Questions and answers about a view: the text on which the tiny VLM learns to see.

An answer writes a place as two location words, x then y: `<loc_17> <loc_58>`, one bin a pixel of the 96x96 image (more
pixels: `bin = pixel * bins / size`). Names come in random order, so each name must be read from the image and not from
its rank. The instruction form answers what System-2 needs to know: where is the named object, where is it to go, where is
the hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dial_core.model.tokenizer import LOCATION_BINS, location_token
from dial_core.sim.task import Task

Places = dict[str, tuple[float, float]]
Instruct = Callable[[str, np.random.Generator], str]
"""(object name, random stream) -> an instruction of the task that names this object."""


LIST_PROMPTS = ("point to everything", "point to all things")
WHERE_PROMPTS = ("where is the {name}", "point to the {name}")


@dataclass(frozen=True)
class Vocabulary:
    """What the task's views can name: the objects an instruction may choose from, the target, the instruction's wording."""

    objects: list[str]
    target: str
    instruct: Instruct


def vocabulary_of(task: Task) -> Vocabulary:
    """The vocabulary of one task, its paraphrases included."""

    def instruct(name: str, rng: np.random.Generator) -> str:
        return str(rng.choice(task.instructions)).format(object=name, source=task.source, target=task.target)

    return Vocabulary(list(task.objects), task.target, instruct)


def location(x_px: float, y_px: float, size_px: int) -> str:
    """The two location words of a pixel."""
    bins = np.clip(np.array([x_px, y_px]) * LOCATION_BINS / size_px, 0, LOCATION_BINS - 1).astype(int)
    return f"{location_token(int(bins[0]))} {location_token(int(bins[1]))}"


def place(name: str, places: Places, size_px: int) -> str:
    """`name <loc_x> <loc_y>`."""
    return f"{name} {location(*places[name], size_px)}"


def list_form(places: Places, size_px: int, rng: np.random.Generator) -> tuple[str, str]:
    """Everything in view, in random order."""
    names = rng.permutation(list(places))
    return str(rng.choice(LIST_PROMPTS)), " ".join(place(name, places, size_px) for name in names)


def where_form(places: Places, size_px: int, rng: np.random.Generator) -> tuple[str, str]:
    """One thing in view."""
    name = str(rng.choice(list(places)))
    return str(rng.choice(WHERE_PROMPTS)).format(name=name), place(name, places, size_px)


def relation_form(places: Places, size_px: int, rng: np.random.Generator) -> tuple[str, str]:
    """Is one thing left of (above) another in the image: yes or no, then both places."""
    first, second = (str(name) for name in rng.choice(list(places), 2, replace=False))
    axis, word = (0, "left of") if rng.random() < 0.5 else (1, "behind")
    answer = "yes" if places[first][axis] < places[second][axis] else "no"
    return f"is the {first} {word} the {second}", f"{place(first, places, size_px)} {place(second, places, size_px)} {answer}"


def instruction_form(places: Places, size_px: int, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[str, str]:
    """An instruction of the task; the named object, the target and the hand, as far as in view, then all the rest."""
    name = str(rng.choice([name for name in vocabulary.objects if name in places]))
    wanted = [known for known in (name, vocabulary.target, "palm") if known in places]
    wanted += [str(other) for other in rng.permutation(list(places)) if other not in wanted]
    return vocabulary.instruct(name, rng), " ".join(place(known, places, size_px) for known in wanted)


def question(places: Places, size_px: int, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[str, str]:
    """A (prompt, answer) about one view, of a random form that the view allows."""
    draw = rng.random()
    if draw < 0.4 and any(name in places for name in vocabulary.objects):
        return instruction_form(places, size_px, rng, vocabulary)
    if draw < 0.5 and len(places) >= 2:
        return relation_form(places, size_px, rng)
    if draw < 0.6:
        return where_form(places, size_px, rng)
    return list_form(places, size_px, rng)


def object_question(places: Places, size_px: int, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[str, str]:
    """A (prompt, answer) about one of the objects in view: an instruction that names it, or where it is."""
    if rng.random() < 0.7:
        prompt, answer = instruction_form(places, size_px, rng, vocabulary)
        return prompt, " ".join(answer.split()[:9])  # the object, the target and the hand; not the rest
    return where_form({name: xy for name, xy in places.items() if name in vocabulary.objects}, size_px, rng)


def shift_view(image: np.ndarray, places: Places, reach_px: int, rng: np.random.Generator) -> tuple[np.ndarray, Places]:
    """The view moved by up to `reach_px` in x and y (edges repeated), its places with it; out of view is dropped."""
    height, width = image.shape[:2]
    dx, dy = (int(step) for step in rng.integers(-reach_px, reach_px + 1, 2))
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    columns = np.clip(np.arange(width) - dx, 0, width - 1)
    moved = {name: (x + dx, y + dy) for name, (x, y) in places.items()}
    inside = {name: (x, y) for name, (x, y) in moved.items() if 0 <= x < width and 0 <= y < height}
    return image[rows][:, columns], inside
