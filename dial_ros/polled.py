"""Subscriptions that are read when their news is wanted: no executor in between, which may be busy with something else."""

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from dial_core.runtime.motion import NANOSECONDS
from dial_ros import qos


class NeverExecuted(CallbackGroup):
    """Keeps an entity out of the executor's hands."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False

    def ending_execution(self, entity) -> None:
        pass


class PolledSubscription:
    """A subscription that is asked. Safe from any one thread."""

    def __init__(self, node: Node, kind: type, topic: str, profile: QoSProfile) -> None:
        self._node = node
        self._subscription = node.create_subscription(kind, topic, _never_called, profile, callback_group=NeverExecuted())

    def take(self) -> Any | None:
        """The next message, if one waits."""
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(self._subscription.msg_type, False)
        return None if taken is None else taken[0]

    def close(self) -> None:
        """Ends it."""
        self._node.destroy_subscription(self._subscription)


class FreshClock:
    """ROS time as fresh as the transport allows: a node's own clock stands while its executor is busy, the world goes on.

    With the system's time there is nothing to poll, and the node's own clock is as fresh.
    """

    def __init__(self, node: Node, own_ns: Callable[[], int]) -> None:
        self._node, self._own_ns = node, own_ns
        self._ticks: PolledSubscription | None = None
        self._newest_ns: int | None = None
        if node.get_clock().ros_time_is_active:
            self._ticks = PolledSubscription(node, Clock, "/clock", qos.SENSOR)

    def now_ns(self) -> int:
        """Time [ns] of the newest tick that has come in."""
        while self._ticks is not None and (tick := self._ticks.take()) is not None:
            self._newest_ns = tick.clock.sec * NANOSECONDS + tick.clock.nanosec
        return self._own_ns() if self._newest_ns is None else self._newest_ns

    def close(self) -> None:
        """Ends it."""
        if self._ticks is not None:
            self._ticks.close()


def _never_called(_: Any) -> None:
    raise AssertionError("a polled subscription is never executed")
