"""What a visitor of the page can do, against real services: acknowledged, refused, or shouted when nobody answers.

pytest test/ros/test_operator_actions.py
"""

import threading
from pathlib import Path

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from dial_ros.operator.actions import ActionLog, Actions, Answer, Scene
from dial_ros.srv import SetInstruction

pytestmark = pytest.mark.ros


class ServedRobot(Node):
    """Stands for both systems: notes what it is asked."""

    def __init__(self) -> None:
        super().__init__("robot")
        self.asked: list = []
        self.create_service(Trigger, "system1/estop", self._stop)
        self.create_service(SetBool, "system1/pause", self._pause)
        self.create_service(SetInstruction, "system2/set_instruction", self._instruct)

    def _stop(self, request, response):
        self.asked.append("stop")
        response.success, response.message = True, "stopped"
        return response

    def _pause(self, request, response):
        self.asked.append(("pause", request.data))
        response.success = True
        return response

    def _instruct(self, request, response):
        self.asked.append(request.text)
        response.success, response.message = request.text != "refuse me", "because"
        return response


@pytest.fixture
def bench(domain, tmp_path):
    """A function (robot?, read_only, log) -> robot, and a function that waits for the answer to an action."""
    rclpy.init(domain_id=domain)
    executor, nodes = SingleThreadedExecutor(), []

    def make(with_robot=True, read_only=False, log=tmp_path / "log.jsonl"):
        page = Node("page")
        robot = ServedRobot() if with_robot else None
        nodes.extend(node for node in (page, robot) if node)
        for node in (page, robot):
            if node:
                executor.add_node(node)
        actions = Actions(page, ActionLog(log), read_only)
        while with_robot and not all(actions.available(s) for s in ("system1/estop", "system1/pause", "system2/set_instruction")):
            executor.spin_once(timeout_sec=0.1)

        def answer_to(action, *arguments) -> Answer:
            answers: list[Answer] = []
            getattr(actions, action)("me", *arguments, lambda answer, *_: answers.append(answer))
            while not answers:
                executor.spin_once(timeout_sec=0.1)
            return answers[0]

        return robot, answer_to

    yield make
    executor.shutdown()
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown()


def test_a_stop_is_acknowledged_by_the_robot(bench, tmp_path):
    robot, answer_to = bench()
    answer = answer_to("stop")
    assert answer.granted
    assert answer.text == "stopped"
    assert robot.asked == ["stop"]
    assert '"emergency stop"' in (tmp_path / "log.jsonl").read_text()


def test_a_stop_that_nobody_acknowledges_is_shouted_within_its_time(bench):
    _, answer_to = bench(with_robot=False)
    answer = answer_to("stop")
    assert not answer.granted
    assert answer.text.startswith("NOT ACKNOWLEDGED: system1/estop has not answered in 0.5 s; no node offers it")


def test_a_stop_is_acknowledged_although_the_log_cannot_be_written(bench):
    robot, answer_to = bench(log=Path("/dev/full"))
    assert answer_to("stop").granted
    assert answer_to("stop").granted, "the thread that takes answers has ended"
    assert robot.asked == ["stop", "stop"]


def test_words_that_mean_a_stop_pause_and_never_arm(bench):
    robot, answer_to = bench()
    for text in ("stop", " Halt! ", "wait.", "don't move"):
        assert answer_to("instruct", text).granted
    assert robot.asked == [("pause", True)] * 4


def test_instructions_are_bounded_and_a_refusal_has_its_reason(bench):
    robot, answer_to = bench()
    assert not answer_to("instruct", "   ").granted
    assert "501" in answer_to("instruct", "x" * 501).text
    assert robot.asked == []
    assert answer_to("instruct", "refuse me").text == "because"
    assert answer_to("instruct", "put the can on the plate").granted


@pytest.mark.parametrize(
    ("action", "value", "service", "reason"),
    [
        ("reset_world", Scene("PlacematToPlate", seed=10**30), "mujoco_robot/reset", "OverflowError"),
        ("reset_world", Scene("PlacematToPlate", seed=2**63), "mujoco_robot/reset", "OverflowError"),
        ("instruct", "put \ud800 can", "system2/set_instruction", "surrogates not allowed"),
    ],
)
def test_what_cannot_be_sent_is_answered_once_and_at_once_with_the_reason(bench, tmp_path, monkeypatch, action, value, service, reason):
    monkeypatch.setattr("dial_ros.operator.actions.ANSWER_S", 0.3)
    _, answer_to = bench(with_robot=False)
    answer = answer_to(action, value)
    assert not answer.granted
    assert answer.text.startswith(f"not sent to {service}: ")
    assert reason in answer.text
    for timer in (thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)):
        timer.join()  # one that was not cancelled answers once more
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


def test_spectators_can_stop_the_robot_and_nothing_else(bench):
    robot, answer_to = bench(read_only=True)
    assert not answer_to("instruct", "put the can on the plate").granted
    assert not answer_to("pause", True).granted
    assert answer_to("stop").granted
    assert robot.asked == ["stop"]
