"""What an operator does from a shell without ros2cli, against a stand-in for both systems."""

import time
from io import StringIO
from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rich.console import Console
from std_srvs.srv import SetBool, Trigger

from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos
from dial_ros.node.states import UNSTOPPED
from dial_ros.srv import SetInstruction
from dial_ros.tools import operate

from .conftest import ENVIRONMENT, spinning

pytestmark = pytest.mark.ros


class StandInSystem1(Node):
    """Answers as both systems do, and remembers what it was asked."""

    def __init__(self, context: Context) -> None:
        super().__init__("system1", context=context, namespace="lab")
        self.asked: list[str] = []
        self.stopped = True, "stopped; latched"  # what an emergency stop is answered
        self.status = self.create_publisher(System1Status, "system1/status", qos.LATCHED)
        self.diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)
        self.create_service(SetInstruction, "system2/set_instruction", self._on_instruct)
        self.create_service(Trigger, "system1/estop", self._on_estop)
        self.create_service(Trigger, "system1/reset_estop", lambda request, response: self._refuse("reset_estop", response))
        self.create_service(SetBool, "system1/pause", lambda request, response: self._grant(f"pause {request.data}", response))
        self.create_timer(0.2, self._report)

    def _on_instruct(self, request, response):
        self.asked.append(request.text)
        response.success, response.instruction_id = True, "7"
        response.message = "accepted, but the model has never seen: drawer"
        self.status.publish(
            System1Status(instruction_id="7", instruction=request.text, state=System1Status.STATE_PAUSED, reason="on request")
        )
        return response

    def _on_estop(self, request, response):
        self.asked.append("estop")
        response.success, response.message = self.stopped
        return response

    def _grant(self, what, response):
        self.asked.append(what)
        response.success, response.message = True, "done"
        return response

    def _refuse(self, what, response):
        response.message = "there is no emergency stop to reset"
        return response

    def _report(self) -> None:
        status = DiagnosticStatus(name="/lab/system1", level=DiagnosticStatus.WARN, message="paused [on request]")
        elsewhere = DiagnosticStatus(name="/other/system1", message="running")
        self.diagnostics.publish(DiagnosticArray(status=[status, elsewhere]))


@pytest.fixture
def robot(domain, monkeypatch):
    for name, value in (ENVIRONMENT | {"ROS_DOMAIN_ID": str(domain)}).items():
        monkeypatch.setenv(name, value)
    with spinning(domain, StandInSystem1) as node:
        yield node


def said(capsys, *words: str) -> tuple[int, str]:
    status = operate.main([words[0], "--namespace", "lab", *words[1:]])
    return status, " ".join(capsys.readouterr().out.split())


def test_an_instruction_is_answered_with_what_both_systems_do_with_it(robot, capsys):
    assert said(capsys, "instruct", "open", "the", "drawer") == (
        0,
        "accepted: the model has never seen: drawer System-1 is paused: on request",
    )
    assert robot.asked == ["open the drawer"]


def test_a_stop_reports_when_system1_acknowledged_it_and_a_refusal_is_an_error(robot, capsys):
    status, text = said(capsys, "stop")
    assert (status, robot.asked) == (0, ["estop"])
    assert "stopped; latched (acknowledged by System-1 after 0." in text
    assert UNSTOPPED not in text
    status, text = said(capsys, "stop", "--reset")
    assert (status, robot.asked) == (1, ["estop"])
    assert "system1/reset_estop refused: there is no emergency stop to reset" in text


def test_a_stop_that_nobody_acknowledges_names_the_way_out_early_and_at_the_end(robot, capsys, monkeypatch):
    assert operate.STOP_OVERDUE_S <= 2.0
    monkeypatch.setattr(operate, "STOP_OVERDUE_S", 0.1)
    monkeypatch.setattr(operate, "FOUND_S", 0.4)
    assert operate.main(["stop", "--namespace", "moon"]) == 1
    asked, overdue, ended = capsys.readouterr().out.splitlines()
    assert asked == "waiting for /moon/system1/estop to acknowledge the emergency stop"
    assert overdue.startswith("NOT ACKNOWLEDGED: /moon/system1/estop is not offered by any node after 0.1 s. " + UNSTOPPED)
    assert ended.startswith("dial stop: NOT ACKNOWLEDGED: timed out")
    assert ended.endswith(UNSTOPPED)


def test_a_stop_is_acknowledged_also_when_it_comes_late(robot, capsys, monkeypatch):
    monkeypatch.setattr(operate, "STOP_OVERDUE_S", 0.0)
    status, text = said(capsys, "stop")
    assert (status, robot.asked) == (0, ["estop"])
    assert UNSTOPPED in text
    assert "stopped; latched (acknowledged by System-1 after 0." in text


@pytest.mark.parametrize("command", [["stop"], ["instruct", "open"]])
@pytest.mark.parametrize("namespace", ["my-robot", "7up", "a//b", "a b"])
def test_a_namespace_that_ros_does_not_take_is_refused_in_words(capsys, command, namespace):
    assert operate.main([command[0], "--namespace", namespace, *command[1:]]) == 1
    assert f"namespace '{namespace}' is none of ROS" in capsys.readouterr().out


@pytest.mark.parametrize("granted", [True, False])
def test_a_stop_that_is_latched_and_sent_nothing_is_no_refusal_and_names_the_way_out(robot, capsys, granted):
    robot.stopped = granted, "latched, but no deceleration is sent yet"
    status, text = said(capsys, "stop")
    assert status == (0 if granted else 1)
    assert "latched, but no deceleration is sent yet (acknowledged by System-1 after 0." in text
    assert text.endswith(UNSTOPPED)
    assert "refused" not in text


def test_pause_and_resume_are_one_service(robot, capsys):
    assert said(capsys, "pause")[0] == said(capsys, "resume")[0] == 0
    assert robot.asked == ["pause True", "pause False"]


def test_the_status_shows_the_nodes_of_the_namespace_only(robot, capsys):
    status, text = said(capsys, "status")
    assert status == 0
    assert "/lab/system1 warning paused [on request]" in text
    assert "/other" not in text


def test_a_system_that_no_longer_reports_is_not_shown_by_what_it_said_last(monkeypatch):
    reports = {
        "system1": System1Status(state=System1Status.STATE_RUNNING, camera_age=0.05, foresight_age=0.2),
        "system2": System2Status(state=System2Status.STATE_RUNNING),
    }
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    shell = SimpleNamespace(diagnostics={}, received_s={"System-1": now_s, "System-2": now_s - 2.0}, **reports)
    console = Console(width=200, file=StringIO())
    console.print(operate.status_table(shell))
    text = " ".join(console.file.getvalue().split())
    assert "System-2 SILENT no report for 2.0 s; the last one: running" in text
    assert "foresights/s" not in text
    assert "camera 0.05 s old, joints 0.00 s, foresight 0.20 s" in text


def test_a_missing_robot_is_reported_with_the_domain_and_what_starts_one(robot, capsys, monkeypatch):
    monkeypatch.setattr(operate, "FOUND_S", 0.3)
    assert operate.main(["status", "--namespace", "moon"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "waiting for a node of this package in DDS domain" in text
    assert "dial sim" in text
