"""Pause and Resume as two buttons that keep their places: a click means what its label said, whatever the robot did meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from nicegui import ui

from dial_ros.operator.actions import Answer
from dial_ros.operator.visit import OperatorVisit

PAUSE_HOLDS_S = 1.0  # a Resume sooner after a Pause is the second click of a hasty hand


class PauseButtons:
    """Two buttons; the one that lets things move is enabled while they are paused, and ignored just after a pause."""

    def __init__(self, visit: OperatorVisit, labels: tuple[str, str], act: Callable[[bool], None], size: str = "md") -> None:
        """`labels`: of pausing and resuming. `act`: called with True to pause, with False to resume."""
        self._visit, self._labels, self._act, self._paused_s = visit, labels, act, -PAUSE_HOLDS_S
        self.pause = ui.button(labels[0], on_click=self.on_pause).props(f"color=grey-8 size={size}")
        self.resume = ui.button(labels[1], on_click=self.on_resume).props(f"color=grey-8 size={size}")
        self.resume.set_enabled(False)

    def on_pause(self) -> None:
        """Pauses."""
        self._paused_s = time.monotonic()
        self._act(True)

    def on_resume(self) -> None:
        """Resumes, unless a pause was asked for just before."""
        passed_s = time.monotonic() - self._paused_s
        if passed_s < PAUSE_HOLDS_S:
            pause, resume = self._labels
            why = f"ignored, {passed_s:.1f} s after “{pause}”: press it again if it was meant"
            self._visit.reporting(resume)(Answer(False, why, 0.0))
            return
        self._act(False)

    def refresh(self, paused: bool) -> None:
        """Enables what `paused` allows; pausing always is: a report may be older than another visitor's click."""
        if self.resume.enabled != paused:
            self.resume.set_enabled(paused)

    def set_visibility(self, visible: bool) -> None:
        """Shows or hides both."""
        self.pause.set_visibility(visible)
        self.resume.set_visibility(visible)
