"""A bag's page without a browser: what a visitor chooses is drawn although nothing plays.

pytest test/unit/dial_ros/operator/test_playback.py
"""

import asyncio
import math

import pytest
from nicegui import Client, core, ui
from starlette.requests import Request

from dial_core.bags.synthetic import record
from dial_ros.operator.playback import PlaybackDocument, load
from dial_ros.operator.visit import Visit

REQUEST = {"type": "http", "path": "/", "scheme": "http", "server": ("127.0.0.1", 80), "query_string": b"", "headers": []}
CHANGE = "data:image/png;base64,"


@pytest.fixture
def drawn(monkeypatch):
    """Calls to charts and to the 3D view, as names of methods, newest last."""
    calls: list[str] = []
    for kind in (ui.echart, ui.scene):
        monkeypatch.setattr(kind, "run_method", lambda self, name, *_, **__: calls.append(name))
    monkeypatch.setattr(ui.echart, "run_chart_method", lambda self, name, *_, **__: calls.append(name))
    return calls


@pytest.fixture
def paused(tmp_path, drawn, monkeypatch):
    """A function (*steps) -> what was drawn after the last step(client, view), on the page of a paused bag that is drawn before each."""

    def after(*steps) -> list[str]:
        async def visit() -> None:
            monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
            view = load(record(tmp_path / "episode", 2.0))
            view._polled_s = math.inf  # no time passes, however slow the machine is
            with Client(ui.page("/"), request=Request(REQUEST)) as client:
                document = PlaybackDocument(Visit(view, view.embodiment, {}), view)
                view.seen.change = CHANGE
                for step in steps:
                    document._refresh()
                    drawn.clear()
                    document._refresh()
                    assert drawn == [], "nothing has changed"
                    step(client, view)
                document._refresh()

        asyncio.run(visit())
        return drawn

    return after


def of_kind(client, kind, mark=""):
    """The one element of a kind and mark."""
    (found,) = [each for each in client.elements.values() if isinstance(each, kind) and (not mark or mark in each._markers)]
    return found


def test_joints_that_are_chosen_while_paused_are_drawn(paused):
    assert "setOption" in paused(lambda client, view: of_kind(client, ui.select, "joints").set_value(["l_elbow_pitch"]))


def test_a_view_that_is_unfolded_while_paused_shows_the_moment(paused):
    def fold(folded: bool):
        return lambda client, view: of_kind(client, ui.expansion).set_value(not folded)

    def seek(client, view):
        of_kind(client, ui.slider, "position").set_value(1.5)

    assert "run_methods" in paused(fold(True), seek, fold(False))


def test_the_overlay_follows_its_slider_while_paused(paused):
    shown = []

    def slide(client, view):
        slider = next(each for each in client.elements.values() if isinstance(each, ui.slider) and "position" not in each._markers)
        slider.set_value(0.9)
        shown.extend(each for each in client.elements.values() if isinstance(each, ui.html))

    paused(slide)
    assert any("opacity:0.9" in each.content for each in shown)


def test_the_button_names_what_it_does_also_when_the_position_stays(paused):
    labels = []

    def play(playing: bool):
        return lambda client, view: setattr(view, "playing", playing)

    def note(client, view):
        labels.append(of_kind(client, ui.button, "play").text)

    paused(note, play(True), note, play(False), note)
    assert labels == ["Play", "Pause", "Play"]
