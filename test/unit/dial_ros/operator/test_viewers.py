"""Who counts as a viewer, by NiceGUI's own connections, and what a document shows, without a browser.

pytest test/unit/dial_ros/operator/test_viewers.py
"""

import asyncio
from unittest.mock import Mock

import pytest
from nicegui import Client, ElementFilter, core, ui
from starlette.requests import Request

from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.robot.embodiment import load_embodiment
from dial_ros.operator import page
from dial_ros.operator.actions import Actions
from dial_ros.operator.commanded_motion import CommandedMotion
from dial_ros.operator.robot_view import Seen
from dial_ros.operator.visit import OperatorVisit, Shared
from dial_ros.operator.vocabulary import KnownWords

REQUEST = {"type": "http", "path": "/", "scheme": "http", "server": ("127.0.0.1", 80), "query_string": b"", "headers": []}


@pytest.fixture
def watched(monkeypatch):
    """A function that plays a visit, a coroutine function of `load`, and returns what the view was asked: whether somebody watches."""
    monkeypatch.setattr(page, "Document", lambda visit, period_s: None)

    def play(visit) -> list[bool]:
        view = Mock()
        shown = page.OperatorPage(OperatorVisit(view, Mock(), {}, Mock(Actions), Mock(), Mock(), Shared()), 10.0)

        def load() -> Client:
            client = Client(ui.page("/"), request=Request(REQUEST))
            with client:
                shown.build()
            return client

        async def run() -> None:
            monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
            await visit(load)

        asyncio.run(run())
        return [call.args[0] for call in view.watch.call_args_list]

    return play


def test_a_page_that_lost_its_connection_for_a_moment_is_fed_again(watched):
    async def visit(load):
        client = load()
        await client.handle_handshake("first", "tab", None, "document", None)
        client.handle_disconnect("first")
        await client.handle_handshake("second", "tab", None, "document", None)

    assert watched(visit) == [True, False, True]


def test_a_connection_whose_end_is_noticed_after_the_next_one_began_does_not_end_the_feed(watched):
    async def visit(load):
        client = load()
        await client.handle_handshake("first", "tab", None, "document", None)
        await client.handle_handshake("second", "tab", None, "document", None)
        client.handle_disconnect("first")

    assert watched(visit)[-1]


def test_one_of_two_visitors_who_leaves_does_not_end_the_feed_and_the_last_one_does(watched):
    async def visit(load):
        clients = [load(), load()]
        for number, client in enumerate(clients):
            await client.handle_handshake(f"socket {number}", f"tab {number}", None, "document", None)
        clients[0].handle_disconnect("socket 0")
        clients[0].delete()
        clients[1].handle_disconnect("socket 1")

    assert watched(visit) == [True, True, True, True, False]


def test_a_document_that_no_browser_connects_to_costs_nothing(watched):
    async def visit(load):
        load()

    assert not any(watched(visit))


def test_a_log_that_cannot_be_written_is_shown_until_it_can():
    robot, actions = load_embodiment("gr1"), Mock(Actions, log_failure="log.jsonl: No space left on device", teleoperated=False)
    view = Mock(seen=Seen(), commanded=CommandedMotion(robot))

    async def visit() -> None:
        with Client(ui.page("/"), request=Request(REQUEST)):
            document = page.Document(OperatorVisit(view, robot, {}, actions, KnownWords(""), TrainedOn(), Shared()), 0.1)
            (line,) = ElementFilter(kind=ui.label, marker="unlogged")
            document.refresh()
            assert "No space left on device" in line.text
            assert line.visible
            actions.log_failure = ""
            document.refresh()
            assert not line.visible

    asyncio.run(visit())
