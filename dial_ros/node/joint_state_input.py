"""Joint states as they arrive: of several broadcasters none is lost, and what queued while the node was busy is one arrival."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.control.robot_clock import REORDERED_S
from dial_ros.node import qos


class JointStateInput:
    """Subscriptions of joint states.

    A reader of depth 1 keeps one message of all broadcasters on its topic: of two that publish at once it loses the one or the other.
    With a queue, a node that was not scheduled for a while finds old messages first. Their age is no latency of the robot's, and its
    joints have moved since: so all that waits is handed over at once, and its last message is the one that has just arrived.
    """

    def __init__(self, node: Node, topics: Iterable[str], on_arrival: Callable[[Sequence[JointState]], None]) -> None:
        """Arguments: the topics; what to call with the messages of one topic, oldest first, at least one."""
        self._node, self._on_arrival = node, on_arrival
        self._subscriptions: list[Subscription] = []
        for index, topic in enumerate(topics):
            self._subscriptions.append(node.create_subscription(JointState, topic, partial(self._on_message, index), qos.PARTS))

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_message(self, index: int, message: JointState) -> None:
        messages, handle = [message], self._subscriptions[index].handle
        with handle:
            while len(messages) < qos.PARTS.depth and (taken := handle.take_message(JointState, False)) is not None:
                messages.append(taken[0])
        self._on_arrival(_since_restart(messages))


def _since_restart(messages: list[JointState]) -> list[JointState]:
    """The messages since the robot's time began again, if it did among them."""
    stamps_ns = [to_ns(message.header.stamp) for message in messages]
    for k in range(len(messages) - 1, 0, -1):
        if stamps_ns[k - 1] - stamps_ns[k] > REORDERED_S * NANOSECONDS:
            return messages[k:]
    return messages
