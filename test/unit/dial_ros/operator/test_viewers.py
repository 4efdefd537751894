"""Who counts as a viewer, by NiceGUI's own connections, and what a document shows, without a browser.

pytest test/unit/dial_ros/operator/test_viewers.py
"""

import asyncio
from unittest.mock import Mock

import pytest
from nicegui import Client, core, ui
from starlette.requests import Request

from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.states import UNSTOPPED
from dial_ros.operator import page
from dial_ros.operator.actions import Actions, Answer
from dial_ros.operator.commanded_motion import CommandedMotion
from dial_ros.operator.robot_view import Seen
from dial_ros.operator.visit import OperatorVisit, Shared
from dial_ros.operator.vocabulary import KnownWords
from dial_ros.system1.operator_services import LATCHED, OWED

REQUEST = {"type": "http", "path": "/", "scheme": "http", "server": ("127.0.0.1", 80), "query_string": b"", "headers": []}
ROBOT = load_embodiment("gr1")


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


def document_of(view: Mock, actions: Mock) -> page.Document:
    """A document without a browser."""
    with Client(ui.page("/"), request=Request(REQUEST)):
        return page.Document(OperatorVisit(view, ROBOT, {}, actions, KnownWords(""), TrainedOn(), Shared()), 0.1)


def test_a_log_that_cannot_be_written_is_shown_until_it_can():
    actions = Mock(Actions, log_failure="log.jsonl: No space left on device", teleoperated=False)

    async def visit() -> None:
        document = document_of(Mock(seen=Seen(), commanded=CommandedMotion(ROBOT)), actions)
        document.refresh()
        assert "No space left on device" in document.unlogged.text
        assert document.unlogged.visible
        actions.log_failure = ""
        document.refresh()
        assert not document.unlogged.visible

    asyncio.run(visit())


def test_a_stop_is_shown_as_acknowledged_although_nothing_else_can_be_shown():
    actions, view = Mock(Actions, log_failure="", teleoperated=False), Mock(seen=Seen(), commanded=CommandedMotion(ROBOT))
    view.poll.side_effect = ValueError("a message that nobody foresaw")

    async def visit() -> None:
        document = document_of(view, actions)
        document.stop()
        actions.stop.call_args.args[1](Answer(True, "stopped", 0.02))
        with pytest.raises(ValueError, match="nobody foresaw"):
            document.refresh()
        assert document.answers.message.text == "Stopped: acknowledged by System-1 after 20 ms. stopped"

    asyncio.run(visit())


@pytest.mark.parametrize(
    ("granted", "text"),
    [
        (True, f"{LATCHED}, but {OWED}"),
        (False, f"{LATCHED}, but the deceleration could not be computed: positions: 1 of 29 values are not finite"),
        (False, "NOT ACKNOWLEDGED: system1/estop has not answered in 0.5 s"),
    ],
)
def test_a_stop_by_which_the_robot_may_move_on_is_shouted(granted, text):
    actions = Mock(Actions, log_failure="", teleoperated=False)

    async def visit() -> None:
        document = document_of(Mock(seen=Seen(), commanded=CommandedMotion(ROBOT)), actions)
        document.stop()
        actions.stop.call_args.args[1](Answer(granted, text, 0.02))
        document.refresh()
        assert document.answers.alarm.text == f"Emergency stop: {text}. {UNSTOPPED}"
        assert "shout" in document.answers.box.classes
        assert document.answers.box.visible

    asyncio.run(visit())
