"""What a document does with answers, pauses and old images, without a browser.

pytest test/unit/dial_ros/operator/test_page_answers.py
"""

import asyncio
import time
from unittest.mock import Mock

import pytest
from nicegui import Client, ui
from starlette.requests import Request

from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.robot.embodiment import load_embodiment
from dial_ros.msg import System1Status
from dial_ros.node.states import UNSTOPPED
from dial_ros.operator import page
from dial_ros.operator.act_panels import SimulationPanel
from dial_ros.operator.actions import Actions, Answer
from dial_ros.operator.commanded_motion import CommandedMotion
from dial_ros.operator.robot_view import Seen
from dial_ros.operator.view_panels import CameraPanel
from dial_ros.operator.visit import OperatorVisit, Shared
from dial_ros.operator.vocabulary import KnownWords

REQUEST = {"type": "http", "path": "/", "scheme": "http", "server": ("127.0.0.1", 80), "query_string": b"", "headers": []}
ROBOT = load_embodiment("gr1")
GREEN, UNACKNOWLEDGED = Answer(True, "accepted", 0.1), Answer(False, "NOT ACKNOWLEDGED: system1/estop has not answered in 0.5 s", 0.5)


@pytest.fixture
def clock(monkeypatch):
    """Wall time [s] that only a test advances: clock[0]."""
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    return now_s


class Visitor:
    """A document without a browser, of a robot whose System-1 reports when a test says so."""

    def __init__(self) -> None:
        self.seen = Seen(clock_s=lambda: time.monotonic())  # the test's, where `clock` has replaced it
        self.actions = Mock(Actions, log_failure="", teleoperated=False)
        view = Mock(seen=self.seen, commanded=CommandedMotion(ROBOT))
        self.visit = OperatorVisit(view, ROBOT, {}, self.actions, KnownWords(""), TrainedOn(), Shared())
        with Client(ui.page("/"), request=Request(REQUEST)):
            self.document = page.Document(self.visit, 0.1)
        self.message, self.alarm = self.document.answers.message, self.document.answers.alarm

    @property
    def alarmed(self) -> bool:
        return self.document.answers.box.visible

    @property
    def settled(self) -> str:
        """How many stops the browser is told not to alarm about any more."""
        return self.document._watch.element.props["data-settled"]

    def report(self, state: int) -> None:
        self.seen.system1, self.seen.received_s["system1"] = System1Status(state=state), time.monotonic()
        self.document.refresh()

    def stop(self, answer: Answer) -> None:
        self.document.stop()
        self.actions.stop.call_args.args[1](answer)
        self.document.refresh()

    def answered(self, what: str, answer: Answer) -> None:
        self.visit.reporting(what)(answer)
        self.document.refresh()


@pytest.fixture
def visitor(clock):
    """A function that carries out a test's coroutine function of a visitor: elements need a running loop."""

    def play(test) -> None:
        async def run() -> None:
            test(Visitor())

        asyncio.run(run())

    return play


def test_an_alarm_stays_whatever_else_is_answered_until_a_stop_is_acknowledged(visitor):
    def test(one):
        one.stop(UNACKNOWLEDGED)
        one.answered("“put the can on the plate”", GREEN)
        assert (one.alarmed, one.settled) == (True, "0")
        assert one.alarm.text == f"Emergency stop: {UNACKNOWLEDGED.text}. {UNSTOPPED}"
        assert one.message.text == "“put the can on the plate”: accepted"
        one.stop(Answer(True, "stopped; latched", 0.02))
        assert (one.alarmed, one.settled) == (False, "1")
        assert one.message.text == "Stopped: acknowledged by System-1 after 20 ms. stopped; latched"

    visitor(test)


def test_an_alarm_can_be_dismissed(visitor):
    def test(one):
        one.stop(UNACKNOWLEDGED)
        one.document.answers.dismiss()
        assert (one.alarmed, one.settled) == (False, "1")

    visitor(test)


def test_an_unacknowledged_action_is_an_alarm_beside_the_stops_until_it_succeeds(visitor):
    def test(one):
        one.answered("Pause", Answer(False, "NOT ACKNOWLEDGED: system1/pause has not answered in 5 s", 5.0))
        one.stop(UNACKNOWLEDGED)
        assert [line[:5] for line in one.alarm.text.splitlines()] == ["Emerg", "Pause"]
        one.answered("Pause", GREEN)
        assert [line[:5] for line in one.alarm.text.splitlines()] == ["Emerg"]

    visitor(test)


def test_stopped_is_shown_until_system_1_is_stopped_no_more(visitor, clock):
    def test(one):
        one.report(System1Status.STATE_RUNNING)
        one.stop(Answer(True, "stopped", 0.02))
        one.report(System1Status.STATE_RUNNING)  # of before the stop
        assert one.message.text.startswith("Stopped")
        one.report(System1Status.STATE_STOPPED)
        clock[0] += 60.0
        one.document.refresh()
        assert one.message.text.startswith("Stopped"), "a silent System-1 has not left its stop"
        one.report(System1Status.STATE_DISARMED)
        assert not one.message.visible

    visitor(test)


def test_stopped_is_not_shown_on_although_the_report_of_the_stop_was_missed(visitor, clock):
    def test(one):
        one.stop(Answer(True, "stopped", 0.02))
        clock[0] += 1.5
        one.report(System1Status.STATE_RUNNING)
        assert not one.message.visible

    visitor(test)


def test_a_stop_that_the_page_cannot_send_is_an_alarm_too(visitor, clock):
    def test(one):
        one.actions.stop.side_effect = RuntimeError("ROS is gone")
        with pytest.raises(RuntimeError):
            one.document.stop()
        clock[0] += 1.1
        one.document.refresh()
        assert "NOT ACKNOWLEDGED: the page has lost ROS" in one.alarm.text

    visitor(test)


def test_a_click_on_pause_pauses_whatever_the_robot_reported_meanwhile(visitor, clock):
    def test(one):
        one.report(System1Status.STATE_RUNNING)
        one.document.pausing.on_pause()
        one.report(System1Status.STATE_PAUSED)
        one.document.pausing.on_pause()
        assert [call.args[1] for call in one.actions.pause.call_args_list] == [True, True]

    visitor(test)


def test_a_resume_just_after_a_pause_is_ignored_and_a_later_one_is_not(visitor, clock):
    def test(one):
        pausing = one.document.pausing
        one.report(System1Status.STATE_RUNNING)
        assert not pausing.resume.enabled
        pausing.on_pause()
        one.report(System1Status.STATE_PAUSED)
        assert pausing.resume.enabled
        clock[0] += 0.9
        pausing.on_resume()
        one.document.refresh()
        assert [call.args[1] for call in one.actions.pause.call_args_list] == [True]
        assert one.message.text == "Resume: ignored, 0.9 s after “Pause”: press it again if it was meant"
        clock[0] += 0.2
        pausing.on_resume()
        assert [call.args[1] for call in one.actions.pause.call_args_list] == [True, False]

    visitor(test)


def test_halting_the_simulation_twice_halts_it(visitor, clock):
    def test(one):
        with Client(ui.page("/"), request=Request(REQUEST)):
            buttons = SimulationPanel(one.visit).time
        buttons.on_pause()
        buttons.on_pause()
        buttons.on_resume()
        clock[0] += 1.1
        buttons.on_resume()
        assert [call.args[1] for call in one.actions.pause_world.call_args_list] == [True, True, False]

    visitor(test)


def test_an_image_that_is_not_renewed_is_greyed_with_its_age_and_its_expected_change_goes(visitor, clock):
    def test(one):
        seen, now_s = one.seen, time.monotonic()
        seen.camera, seen.foresight, seen.change = "data:c", "data:f", "data:d"
        seen.received_s |= {"camera": now_s, "foresight": now_s}
        with Client(ui.page("/"), request=Request(REQUEST)):
            panel = CameraPanel(one.visit)
        panel.refresh()
        assert (panel._camera_age.content, panel._foresight_age.content) == ("", "")
        assert "data:d" in panel._change.content
        clock[0] += 4.0
        seen.received_s["camera"] = time.monotonic()
        panel.refresh()
        assert panel._camera_age.content == ""
        assert "no image for 4 s" in panel._foresight_age.content
        assert ("old" in panel._camera_box.classes, "old" in panel._foresight_box.classes) == (False, True)
        assert panel._change.content == ""
        seen.received_s["foresight"] = time.monotonic()
        panel.refresh()
        assert "old" not in panel._foresight_box.classes

    visitor(test)


def test_a_page_that_cannot_be_updated_does_not_report_to_the_browser_that_it_was(visitor):
    def test(one):
        one.document.refresh()
        one.visit.view.poll.side_effect = ValueError("a message that nobody foresaw")
        with pytest.raises(ValueError, match="nobody foresaw"):
            one.document.refresh()
        assert one.document._watch.element.props["data-beat"] == "1"

    visitor(test)
