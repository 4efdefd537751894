"""What the page takes from the robot's topics, without ROS.

pytest test/unit/dial_ros/operator/test_robot_view.py
"""

from array import array
from collections import deque
from unittest.mock import Mock

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool

from dial_core.control.motion import NANOSECONDS
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.messages import image_to_message, to_time
from dial_ros.node.polled import Taken
from dial_ros.operator import robot_view
from dial_ros.operator.robot_view import RobotView

ROBOT = load_embodiment("gr1").model_copy(update={"further_joint_states_topics": ("/hands/joint_states",)})
ARMS, HANDS = ROBOT.joint_names[:20], ROBOT.joint_names[20:]
MS = 1_000_000


@pytest.fixture
def topics(monkeypatch):
    """What waits on each topic that is subscribed to: a queue by name."""
    queues: dict[str, deque] = {}

    def subscribed(node, kind, topic, profile):
        queue = queues.setdefault(topic, deque())
        return Mock(take=lambda: Taken(queue.popleft(), 0) if queue else None)

    monkeypatch.setattr(robot_view, "PolledSubscription", subscribed)
    return queues


@pytest.fixture
def clock(monkeypatch):
    """Wall time [s] that only a test advances: clock[0]."""
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    return now_s


def state(names, stamp_ns: int, position: float = 0.0) -> JointState:
    message = JointState(name=list(names), position=array("d", [position] * len(names)))
    message.header.stamp = to_time(stamp_ns)
    return message


def poll(view: RobotView, clock: list[float]) -> None:
    clock[0] += 1.0
    view.poll(0.1)


def test_joint_states_in_parts_are_whole_ones_on_the_page(topics, clock):
    view = RobotView(Mock(), ROBOT, "ego")
    view.watch(True)
    for k in range(1, 5):
        topics["joint_states"].append(state(ARMS, k * 30 * MS, 0.1))
        topics["joint_states_2"].append(state(HANDS, k * 30 * MS, 0.2))
        poll(view, clock)
    assert [stamp_ns for stamp_ns, _ in view.seen.joints] == [30 * MS, 60 * MS, 90 * MS, 120 * MS]
    assert view.seen.measured.tolist() == pytest.approx([0.1] * len(ARMS) + [0.2] * len(HANDS))


def test_parts_of_two_topics_are_taken_in_the_order_of_their_stamps(topics, clock):
    view = RobotView(Mock(), ROBOT, "ego")
    view.watch(True)
    for begin in (0, 200, 400):  # as of two broadcasters at 50 Hz, taken five times a second
        for k in range(10):
            topics["joint_states"].append(state(ARMS, (begin + 20 * k) * MS))
            topics["joint_states_2"].append(state(HANDS, (begin + 20 * k + 5) * MS))
        poll(view, clock)
    stamps_ms = [stamp_ns // MS for stamp_ns, _ in view.seen.joints]
    assert stamps_ms == sorted(stamps_ms)
    assert (stamps_ms[0], stamps_ms[-1]) == (5, 585), "no message emptied the curve"


def test_joints_that_nobody_reports_are_named(topics, clock):
    node = Mock()
    view = RobotView(node, ROBOT, "ego")
    view.watch(True)
    for k in range(1, 4):
        topics["joint_states"].append(state(ARMS, k * NANOSECONDS))
        poll(view, clock)
    assert not view.seen.joints
    assert f"joint states lack {HANDS[0]}, " in node.get_logger().warning.call_args.args[0]


def test_a_fast_robot_costs_no_more_points_than_a_curve_needs(topics, clock):
    view = RobotView(Mock(), ROBOT, "ego")
    view.watch(True)
    topics["joint_states"].extend(state(ROBOT.joint_names, NANOSECONDS + k * 5 * MS) for k in range(9))
    poll(view, clock)
    assert [stamp_ns // MS for stamp_ns, _ in view.seen.joints] == [1000, 1020, 1040]
    topics["joint_states"].append(state(ROBOT.joint_names, 3 * MS))
    poll(view, clock)
    assert [stamp_ns // MS for stamp_ns, _ in view.seen.joints] == [3], "the robot's clock went back"


def test_an_image_that_has_nothing_to_show_is_named_and_the_rest_is_taken(topics, clock):
    node = Mock()
    view = RobotView(node, ROBOT, "ego")
    view.watch(True)
    topics["image/ego"].append(Image(encoding="rgb8"))
    topics["foresight/image"].append(image_to_message(np.zeros((96, 96, 3), np.uint8), 0, "ego"))  # one panel, not three
    topics["joint_states"].append(state(ROBOT.joint_names, NANOSECONDS))
    poll(view, clock)
    assert len(view.seen.joints) == 1
    assert (view.seen.camera, view.seen.foresight) == ("", "")
    assert [call.args[0] for call in node.get_logger().warning.call_args_list] == [
        "an image without pixels cannot be shown",
        "foresight/image: an image without pixels cannot be shown",
    ]


def test_what_was_received_before_nobody_watched_is_not_shown_as_what_is_there_now(topics, clock):
    view = RobotView(Mock(), ROBOT, "ego")
    view.watch(True)
    topics["image/ego"].append(image_to_message(np.zeros((96, 96, 3), np.uint8), 0, "ego"))
    topics["foresight/image"].append(image_to_message(np.zeros((96, 288, 3), np.uint8), 0, "ego"))
    topics["mujoco_robot/success"].append(Bool(data=True))
    topics["joint_states"].append(state(ROBOT.joint_names, NANOSECONDS))
    poll(view, clock)
    assert all((view.seen.camera, view.seen.foresight, view.seen.change, view.seen.success, view.seen.joints))
    view.watch(True)  # another visitor
    assert view.seen.camera
    view.watch(False)
    view.watch(True)
    poll(view, clock)
    assert not any((view.seen.camera, view.seen.foresight, view.seen.change, view.seen.success, view.seen.joints))


def test_when_an_image_was_received_is_noted_and_an_unreadable_one_does_not_count(topics, clock):
    view = RobotView(Mock(), ROBOT, "ego")
    view.watch(True)
    topics["image/ego"].append(image_to_message(np.zeros((96, 96, 3), np.uint8), 0, "ego"))
    topics["foresight/image"].append(image_to_message(np.zeros((96, 288, 3), np.uint8), 0, "ego"))
    poll(view, clock)
    topics["image/ego"].append(Image(encoding="rgb8"))
    poll(view, clock)
    assert (view.seen.received_s["camera"], view.seen.received_s["foresight"]) == (101.0, 101.0)
