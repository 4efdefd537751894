"""A recorded bag in the operator page: scrub, and see every chunk against what happened. No ROS is started.

python -m dial_ros.operator.playback recordings/episode_000        (or: dial play recordings/episode_000)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nicegui import app, ui

from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.operator.bag_view import BagView
from dial_ros.operator.markup import STYLE
from dial_ros.operator.page_port import require_free_port
from dial_ros.operator.robot_panel import RobotPanel
from dial_ros.operator.token_gate import LoopbackGate
from dial_ros.operator.view_panels import CameraPanel, ErrorPanel, LimitPanel, MotionPanel, StatusPanel
from dial_ros.operator.visit import Visit, card, heading, set_text

PERIOD_S = 0.1
HOST, PORT = "127.0.0.1", 8081  # beside the page of a live robot, which has 8080
SPEEDS = {0.1: "0.1 x", 0.25: "0.25 x", 0.5: "0.5 x", 1.0: "1 x", 2.0: "2 x"}


class PlaybackPanel:
    """Position in the bag, play and pause, and the distance between the chunk at that position and what followed."""

    def __init__(self, view: BagView) -> None:
        self._view = view
        with card():
            facts = view.facts
            heading("Playback: nothing here moves a robot")
            self._instruction = ui.label("").classes("big").mark("instruction")
            ui.label(f"{facts.get('label', '')} · {facts.get('outcome', 'unknown')} · {facts.get('recorded_at', '')}").classes("small")
            self._slider = ui.slider(min=0, max=round(view.duration_s, 2), step=0.01, value=0, on_change=self._scrub).mark("position")
            with ui.row().classes("w-full items-center no-wrap gap-2"):
                self._play = ui.button("Play", on_click=self._toggle).props("color=green-9").mark("play")
                ui.button("Chunk before", on_click=lambda: self._jump(-1)).props("color=grey-8").mark("chunk-before")
                ui.button("Next chunk", on_click=lambda: self._jump(1)).props("color=grey-8").mark("chunk-after")
                ui.select(SPEEDS, value=1.0, on_change=lambda event: setattr(view, "speed", event.value)).props("dense outlined")
                self._time = ui.label("").classes("big").mark("time")
            self._error = ui.label("").style("font-size: 16px;").mark("chunk-error")

    def _toggle(self) -> None:
        if self._view.position_s >= self._view.duration_s:
            self._view.seek(0.0)
        self._view.playing = not self._view.playing

    def _scrub(self, event) -> None:
        if abs(event.value - self._view.position_s) > 0.011:  # not the slider that follows the playing
            self._view.playing = False
            self._view.seek(event.value)

    def _jump(self, step: int) -> None:
        view = self._view
        view.playing = False
        later = [at_s for at_s in view.chunks_s if at_s > view.position_s + 1e-3]
        earlier = [at_s for at_s in view.chunks_s if at_s < view.position_s - 1e-3]
        view.seek(next(iter(later), view.duration_s) if step > 0 else next(reversed(earlier), 0.0))

    def refresh(self) -> None:
        """Shows the position and the chunk's error."""
        view = self._view
        self._slider.set_value(round(view.position_s, 2))
        self._play.set_text("Pause" if view.playing else "Play")
        status = view.seen.system1
        set_text(self._instruction, f"“{(status.instruction if status else '') or view.facts.get('instruction', '')}”")
        set_text(self._time, f"{view.position_s:.2f} / {view.duration_s:.2f} s")
        error = view.chunk_error()
        text = "no chunk here, or nothing followed it"
        if error is not None:
            mean, joint, largest = error
            text = f"chunk against what happened: {mean:.3f} rad on average; {joint} {largest:.3f} rad"
        set_text(self._error, text)


class PlaybackDocument:
    """What one visitor of a bag sees."""

    def __init__(self, visit: Visit, view: BagView) -> None:
        self._view = view
        ui.add_css(STYLE)
        with ui.header().style("background: #202124; padding: 12px 20px;"):
            ui.label(f"DIAL · {visit.embodiment.name} · recorded").style("font-size: 22px; font-weight: 700;")
        with (
            ui.element("div").classes("w-full").style("max-width: 1880px; margin: 0 auto; padding: 14px;"),
            ui.element("div").classes("columns"),
        ):
            with ui.element("div").classes("column").style("grid-area: view"):
                camera = CameraPanel(visit).refresh
                parts = [ErrorPanel(visit).refresh, LimitPanel(visit).refresh]
            with ui.element("div").classes("column").style("grid-area: plan"):
                motion, robot = MotionPanel(visit).refresh, RobotPanel(visit).refresh
            with ui.element("div").classes("column").style("grid-area: act"):
                parts += [PlaybackPanel(view).refresh, StatusPanel(visit).refresh]
        self._chosen = [camera, motion, robot]  # have controls of their own, and draw nothing that is drawn already
        self._parts, self._shown = parts, (-1.0, False)
        ui.timer(PERIOD_S, self._refresh)

    def _refresh(self) -> None:
        self._view.poll(PERIOD_S)
        for refresh in self._chosen:
            refresh()
        state = (self._view.position_s, self._view.playing)
        if state == self._shown:
            return
        self._shown = state
        for refresh in self._parts:
            refresh()


def main(words: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog=os.environ.get("DIAL_PROG"),
        description="Play a recorded bag in the operator page.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("bag", type=Path, help="folder of a bag, or one of its files")
    parser.add_argument("--robot", default="", help="embodiment: a name in config/embodiments/, or a YAML; empty: as the bag says")
    parser.add_argument("--port", type=int, default=PORT, help="port of the page on this machine")
    chosen = parser.parse_args(words)
    try:
        require_free_port(HOST, chosen.port, "give --port")
        view = load(chosen.bag, chosen.robot)
    except DialError as error:
        print(f"dial play: {error}", file=sys.stderr)
        return 1
    visit = Visit(view, view.embodiment, {})
    ui.page("/", title=f"DIAL: {chosen.bag.name}")(lambda: PlaybackDocument(visit, view))
    app.add_middleware(LoopbackGate)
    print(f"{chosen.bag}: {view.duration_s:.1f} s; the page is at http://{HOST}:{chosen.port}/ ; Ctrl-C ends it", flush=True)
    ui.run(host=HOST, port=chosen.port, show=False, reload=False, show_welcome_message=False, uvicorn_logging_level="warning")
    return 0


def load(bag: Path, robot: str = "") -> BagView:
    """A bag with the robot that it names, or `robot`. Raises DialError."""
    from dial_core.bags.reader import Bag

    return BagView(bag, load_embodiment(robot or Bag(bag).facts.get("embodiment", "gr1")))


if __name__ in {"__main__", "__mp_main__"}:
    sys.exit(main())
