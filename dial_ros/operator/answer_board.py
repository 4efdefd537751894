"""Answers to a visitor's actions: the newest one, and above it the alarms, which no later answer to something else replaces."""

from __future__ import annotations

import time

from nicegui import ui

from dial_ros.node.states import STOPPED, UNSTOPPED
from dial_ros.operator.actions import STOP_ACKNOWLEDGED_S, Answer
from dial_ros.operator.browser_watch import BrowserWatch
from dial_ros.operator.visit import set_text

STOP = "Emergency stop"
WELCOME = (
    "In simulation, pick a task and press Reset. Type what the robot is to do, or take a suggestion, and press Send. "
    "Watch it move; Space or Escape stops it."
)
REPORTED_S = 1.0  # after an acknowledged stop the robot's own reports show it: they come five times a second


class AnswerBoard:
    """Shows answers, and keeps an alarm until a stop is acknowledged, the same action succeeds, or the operator dismisses it.

    Attributes:
        alarm: actions that were not acknowledged, and stops by which the robot may move on, one a line.
        box: what holds the alarm and the button that dismisses it; hidden without any.
        message: the newest answer that is no alarm; hidden while it is empty.
    """

    def __init__(self, watch: BrowserWatch) -> None:
        self._watch = watch
        self._alarms: dict[str, str] = {}  # by action
        self._sent_s: float | None = None  # of a stop that nothing has answered yet
        self._stopped_s: float | None = None  # of the acknowledgement that is shown
        self._latch_seen = False
        with ui.element("div").classes("shout alarm w-full") as self.box:
            self.alarm = ui.label("").style("white-space: pre-line;").mark("alarm")
            ui.button("Dismiss", on_click=self.dismiss).props("unelevated color=white text-color=red-9").mark("dismiss-alarm")
        self.box.set_visibility(False)
        self.message = ui.label(WELCOME).classes("calm w-full").mark("message")

    def stop_sent(self) -> None:
        """Says that a stop was sent, until there is an answer."""
        self._sent_s = time.monotonic()
        self._put("STOP sent ...", "shout")

    def say(self, answer: Answer, what: str, by: str) -> None:
        """Shows the answer to an action `what`; `by`: who acknowledges a stop."""
        stop = what == STOP
        if stop:
            self._sent_s = None
        unstopped = stop and not (answer.granted and answer.text.startswith(STOPPED))  # latched perhaps, but the robot may move on
        if unstopped or (not answer.granted and answer.text.startswith("NOT ACKNOWLEDGED")):
            self._alarms[what] = f"{what}: {answer.text}" + (f". {UNSTOPPED}" if unstopped else "")
            self._put("", "note")
        elif stop:
            self._alarms.clear()
            self._watch.settle()
            self._put(f"Stopped: acknowledged by {by} after {1000 * answer.seconds:.0f} ms. {answer.text}", "calm")
            self._stopped_s, self._latch_seen = time.monotonic(), False
        else:
            if answer.granted:
                self._alarms.pop(what, None)
            calm = answer.granted and not any(doubt in answer.text for doubt in ("accepted, but", "Nothing will move"))
            self._put(f"{what}: {answer.text}", "calm" if calm else "note")
        self._show_alarms()

    def dismiss(self) -> None:
        """Drops all alarms, the browser's own included."""
        self._alarms.clear()
        self._watch.settle()
        self._show_alarms()

    def refresh(self, latched: bool | None, by: str) -> None:
        """Raises the alarm over a stop that nothing answers, and takes "Stopped" away once it is over.

        `latched`: whether the robot reports that its stop is latched; None if it reports nothing.
        """
        now_s = time.monotonic()
        if self._sent_s is not None and now_s - self._sent_s > 2 * STOP_ACKNOWLEDGED_S:
            # Not even its absence was reported: the ROS side of this page is gone.
            self.say(Answer(False, "NOT ACKNOWLEDGED: the page has lost ROS", 2 * STOP_ACKNOWLEDGED_S), STOP, by)
        if self._stopped_s is None or latched is None:
            return
        if latched:
            self._latch_seen = True
        elif self._latch_seen or now_s - self._stopped_s > REPORTED_S:  # before that it may be a report from before the stop
            self._put("", "calm")

    def _put(self, text: str, look: str) -> None:
        self._stopped_s = None
        self.message.classes(replace=f"{look} w-full")
        set_text(self.message, text)
        self.message.set_visibility(bool(text))

    def _show_alarms(self) -> None:
        set_text(self.alarm, "\n".join(sorted(self._alarms.values(), key=lambda text: not text.startswith(STOP))))
        self.box.set_visibility(bool(self._alarms))
