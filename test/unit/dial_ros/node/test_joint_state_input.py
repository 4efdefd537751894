"""Joint states of several broadcasters on one topic: none is lost, and what queued while the node was busy is one arrival.

pytest test/unit/dial_ros/node/test_joint_state_input.py
"""

import time
from unittest.mock import MagicMock

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState

from dial_core.control.motion import to_ns
from dial_ros.node.joint_state_input import JointStateInput
from dial_ros.node.messages import to_time

MS = 1_000_000
LIMIT_S = 30.0


@pytest.fixture
def wire(monkeypatch):
    """A node, what its JointStateInput handed over, two publishers on its topic, and a function that waits while the node runs."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = Context()
    rclpy.init(context=context, domain_id=98)
    node, executor, arrivals = Node("joint_state_input_test", context=context), SingleThreadedExecutor(context=context), []
    executor.add_node(node)
    states = JointStateInput(node, ["joint_states"], arrivals.append)
    publishers = [node.create_publisher(JointState, "joint_states", 10) for _ in range(2)]

    def until(condition):
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline_s
            executor.spin_once(timeout_sec=0.05)

    until(lambda: all(publisher.get_subscription_count() for publisher in publishers))
    yield arrivals, publishers, until
    states.close()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def joint_state(name: str, stamp_ns: int) -> JointState:
    message = JointState(name=[name], position=[0.0])
    message.header.stamp = to_time(stamp_ns)
    return message


def test_nothing_of_two_broadcasters_that_publish_at_once_is_lost(wire):
    arrivals, (arms, hands), until = wire
    for k in range(10):
        arms.publish(joint_state("arm", k * MS))
        hands.publish(joint_state("hand", k * MS))
    until(lambda: sum(map(len, arrivals)) >= 20)
    names = [message.name[0] for arrival in arrivals for message in arrival]
    assert (names.count("arm"), names.count("hand")) == (10, 10)


def arrival(*stamps_ms: int) -> list[int]:
    """What is handed over of joint states with these stamps, of which all but the first wait, by its stamps [ms]."""
    node, arrivals = MagicMock(spec=Node), []
    take_message = node.create_subscription.return_value.handle.take_message
    take_message.side_effect = [*((joint_state("arm", stamp_ms * MS), {}) for stamp_ms in stamps_ms[1:]), None]
    JointStateInput(node, ["joint_states"], arrivals.append)
    node.create_subscription.call_args.args[2](joint_state("arm", stamps_ms[0] * MS))
    return [to_ns(message.header.stamp) // MS for message in arrivals[0]]


def test_what_waits_is_handed_over_at_once_so_that_the_newest_shows_the_time():
    assert arrival(5000, 5010, 5004, 5020) == [5000, 5010, 5004, 5020]
    assert arrival(5000) == [5000]


def test_what_waited_since_before_the_robots_time_began_again_is_dropped():
    assert arrival(5000, 5010, 4950, 20, 30, 10) == [20, 30, 10]
