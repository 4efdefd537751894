"""The man in the middle: relays camera, joints and foresight to System-1 and System-2, and spoils what it is told to."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from dial_core.control.motion import NANOSECONDS
from dial_ros.faults.spoilers import Spoiler, untouched
from dial_ros.msg import LatentForesight
from dial_ros.node import qos

PREFIX = "through_saboteur"


class Relay:
    """One stream, from its topic to the same name below PREFIX."""

    def __init__(self, node: Node, kind: type, topic: str, profile, now_ns: Callable[[], int], season: Callable[[Any], None]) -> None:
        """`season` changes every message that goes on, spoilt or not, before the spoiler sees it."""
        self._now_ns, self._season = now_ns, season
        self._out = node.create_publisher(kind, f"{PREFIX}/{topic}", profile)
        self._waiting: list[tuple[int, int, Any]] = []  # due at [ns] of the robot's clock
        self._order = itertools.count()
        self.first_spoilt_ns: int | None = None
        self.recover()
        node.create_subscription(kind, topic, self._on_message, profile)

    def spoil(self, spoiler: Spoiler) -> None:
        """From now on every message goes through `spoiler`."""
        self._spoiler, self.first_spoilt_ns = spoiler, None
        self._spoiling = True

    def recover(self) -> None:
        """From now on every message goes on as it came; delayed ones that still wait are lost."""
        self._spoiler, self._spoiling = untouched(), False
        self.first_spoilt_ns = None
        self._waiting.clear()

    def send_due(self) -> None:
        """Passes on what has waited long enough, by the robot's clock: on a busy machine that lags behind ours."""
        while self._waiting and self._waiting[0][0] <= self._now_ns():
            self._out.publish(heapq.heappop(self._waiting)[2])

    def _on_message(self, message: Any) -> None:
        self._season(message)
        if self._spoiling and self.first_spoilt_ns is None:
            self.first_spoilt_ns = self._now_ns()
        for delay_s, passed in self._spoiler(message):
            if delay_s <= 0:
                self._out.publish(passed)
            else:
                heapq.heappush(self._waiting, (self._now_ns() + round(delay_s * NANOSECONDS), next(self._order), passed))


class Saboteur:
    """The relays by stream name: `camera`, `joints`, `foresight`."""

    def __init__(self, node: Node, camera: str, now_ns: Callable[[], int]) -> None:
        self._pictures = itertools.count()
        self.relays = {
            "camera": Relay(node, Image, f"image/{camera}", qos.SENSOR, now_ns, self._flicker),
            "joints": Relay(node, JointState, "joint_states", qos.SENSOR, now_ns, lambda message: None),
            "foresight": Relay(node, LatentForesight, "foresight", qos.LATEST, now_ns, lambda message: None),
        }
        node.create_timer(0.005, self._send_due)

    def recover(self) -> None:
        """Ends every fault."""
        for relay in self.relays.values():
            relay.recover()

    def _send_due(self) -> None:
        for relay in self.relays.values():
            relay.send_due()

    def _flicker(self, message: Image) -> None:
        """A real sensor never repeats itself, a renderer does: one value of one pixel counts the pictures."""
        message.data[0] = next(self._pictures) % 256
