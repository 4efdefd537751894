"""Subscriptions that are polled instead of being executed, so that a busy executor cannot delay them."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import ROSClock
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.node import qos

OLDEST_TICK_S = 0.3


class NeverExecuted(CallbackGroup):
    """Callback group whose entities the executor never executes."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False

    def ending_execution(self, entity) -> None:
        pass


class Taken(NamedTuple):
    """A message and its publish time [ns of system time]."""

    message: Any
    sent_ns: int


class PolledSubscription:
    """A subscription that is polled. Not thread-safe."""

    def __init__(self, node: Node, kind: type, topic: str, profile: QoSProfile) -> None:
        self._node = node
        self._subscription = node.create_subscription(kind, topic, _never_called, profile, callback_group=NeverExecuted())

    def take(self) -> Taken | None:
        """Returns the next queued message; None if there is none."""
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(self._subscription.msg_type, False)
        return None if taken is None else Taken(taken[0], taken[1]["source_timestamp"])

    def close(self) -> None:
        """Destroys the subscription."""
        self._node.destroy_subscription(self._subscription)


class FreshClock:
    """Estimates the current simulated time. A node's own clock shows the tick that its executor processed last: on a busy machine
    the simulation is tens of milliseconds ahead of it.

    Without simulated time nothing is polled: the node's own clock is right.
    """

    def __init__(self, node: Node, own_ns: Callable[[], int]) -> None:
        self._own_ns = own_ns
        clock = node.get_clock()
        simulated = isinstance(clock, ROSClock) and clock.ros_time_is_active
        self._ticks = PolledSubscription(node, Clock, "/clock", qos.SENSOR) if simulated else None
        self._newest: Taken | None = None

    def now_ns(self) -> int:
        """Returns the newest received tick plus the time since it was published [ns]."""
        while self._ticks is not None and (tick := self._ticks.take()) is not None:
            self._newest = tick
        if self._newest is None:
            return self._own_ns()
        return shown_ns(to_ns(self._newest.message.clock), self._newest.sent_ns, time.time_ns())

    def close(self) -> None:
        """Destroys the subscription."""
        if self._ticks is not None:
            self._ticks.close()


def shown_ns(tick_ns: int, sent_ns: int, system_ns: int) -> int:
    """Returns what a clock shows at most at system time `system_ns`, if it published `tick_ns` at `sent_ns`.

    At most, because simulated time is taken to be as fast as real time. A world that stands (or whose machine's clock is
    another) is not followed farther than OLDEST_TICK_S.
    """
    return tick_ns + min(max(system_ns - sent_ns, 0), round(OLDEST_TICK_S * NANOSECONDS))


def _never_called(_: Any) -> None:
    raise AssertionError("a polled subscription is never executed")
