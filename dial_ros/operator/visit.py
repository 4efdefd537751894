"""What all panels of one visitor's page share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from nicegui import ui

from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.robot.embodiment import Embodiment
from dial_ros.operator.actions import Actions, Answer
from dial_ros.operator.commanded_motion import CommandedMotion
from dial_ros.operator.page_parameters import LIMITS
from dial_ros.operator.robot_view import Seen
from dial_ros.operator.vocabulary import KnownWords


@dataclass
class Shared:
    """What every visitor sees alike: earlier instructions, and those that fit the simulated scene."""

    history: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    suggestions: list[str] = field(default_factory=list)


class ViewSource(Protocol):
    """Source of what panels show: a robot, or a bag."""

    seen: Seen
    commanded: CommandedMotion

    def watch(self, wanted: bool) -> None:
        """Begins or ends updating; `wanted`: whether somebody watches."""

    def poll(self, period_s: float) -> None:
        """Brings `seen` and `commanded` up to date."""


@dataclass
class Visit:
    """What one visitor is shown.

    `reported`: parameters of the nodes, as node/parameter -> value; filled once each node has answered.
    """

    view: ViewSource
    embodiment: Embodiment
    reported: dict[str, Any]

    def limits_s(self) -> dict[str, float]:
        """Ages [s] at which System-1 holds, by input; empty until it has reported them."""
        return {name: self.reported[f"system1/{key}"] for name, key in LIMITS.items() if f"system1/{key}" in self.reported}


@dataclass
class OperatorVisit(Visit):
    """A visitor who can act, and who it is."""

    actions: Actions
    words: KnownWords
    trained_on: TrainedOn
    shared: Shared
    who: str = "?"
    say: Callable[[Answer, str], None] = lambda answer, what: None
    answers: deque[Callable[[], None]] = field(default_factory=deque)  # from other threads, carried out in the page's own

    def reporting(self, what: str, then: Callable[[Answer], None] = lambda _: None) -> Callable[[Answer], None]:
        """A function for `actions`: shows the answer, from whatever thread it comes, and calls `then` in the page's own."""

        def on_answer(answer: Answer) -> None:
            def show() -> None:
                self.say(answer, what)
                then(answer)

            self.answers.append(show)

        return on_answer


def heading(text: str) -> ui.html:
    """A card's title."""
    return ui.html(f"<h2>{text}</h2>", sanitize=False)


def card() -> ui.element:
    """A white box for one panel."""
    return ui.element("div").classes("card")


def show(element: ui.html, content: str) -> None:
    """Sets an element's HTML; what has not changed is not sent."""
    if element.content != content:
        element.set_content(content)


def set_text(element: ui.label, text: str) -> None:
    """Sets a label's text; what has not changed is not sent."""
    if element.text != text:
        element.set_text(text)
