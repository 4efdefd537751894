"""Relays streams of the graph under test and corrupts their messages on request."""

import heapq
import io
import itertools
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from PIL import Image as PillowImage
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.robot.embodiment import Embodiment
from dial_ros.faults.corruptions import Corruption, unchanged
from dial_ros.msg import LatentForesight
from dial_ros.node import qos

PREFIX = "through_injector"
REMEMBERED = 1000  # messages of each stream


class Relayed(StrEnum):
    """Which streams of the graph go through the injector; all others are direct."""

    INPUTS = "inputs"  # camera, joint states and foresight, as System-1 and System-2 receive them
    CLOCK = "clock"  # /clock, as System-1 alone receives it
    COMMANDS = "commands"  # trajectories, as the controllers receive them
    GUARDED = "guarded"  # trajectories, as the guard receives them; it runs beside the controllers
    COMPRESSED = "compressed"  # camera, as compressed images


COMMANDED = (Relayed.COMMANDS, Relayed.GUARDED)


class Relay:
    """One stream, from topic `source` to topic `target`."""

    def __init__(
        self,
        node: Node,
        kind: type,
        topics: tuple[str, str],
        profile: QoSProfile,
        now_ns: Callable[[], int],
        convert: Callable[[Any], Any] = lambda message: message,
        stamp_of: Callable[[Any], Time] = lambda message: message.header.stamp,
    ) -> None:
        """Args: `topics`: source and target; `convert` maps every message before it is corrupted; `now_ns`: the robot's time."""
        source, target = topics
        self._now_ns, self._convert, self._stamp_of = now_ns, convert, stamp_of
        self._out = node.create_publisher(CompressedImage if target.endswith("/compressed") else kind, target, profile)
        self._waiting: list[tuple[int, int, Any]] = []  # due at [ns] of the robot's clock
        self._order = itertools.count()
        self._sent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)  # when a message was sent on, and its stamp [ns]
        self.first_corrupted_ns: int | None = None
        self.recover()
        node.create_subscription(kind, source, self._on_message, profile)

    def corrupt(self, corruption: Corruption) -> None:
        """Applies `corruption` to every message from now on."""
        self._corruption, self._corrupting, self.first_corrupted_ns = corruption, True, None

    def recover(self) -> None:
        """Relays every message unchanged from now on; delayed ones that still wait are lost."""
        self._corruption, self._corrupting, self.first_corrupted_ns = unchanged(), False, None
        self._waiting.clear()

    def send_due(self) -> None:
        """Sends what has waited long enough by the robot's clock, which on a busy machine is slower than wall time."""
        while self._waiting and self._waiting[0][0] <= self._now_ns():
            self._send(heapq.heappop(self._waiting)[2])

    def age_s(self, time_ns: int) -> float | None:
        """Age, by its stamp, of the newest message that had been sent on at a moment of the robot's time [s]; None: none."""
        stamps_ns = [stamp_ns for sent_ns, stamp_ns in self._sent if sent_ns <= time_ns]
        return (time_ns - max(stamps_ns)) / NANOSECONDS if stamps_ns else None

    def _send(self, message: Any) -> None:
        self._sent.append((self._now_ns(), to_ns(self._stamp_of(message))))
        self._out.publish(message)

    def _on_message(self, message: Any) -> None:
        message = self._convert(message)
        if self._corrupting and self.first_corrupted_ns is None:
            self.first_corrupted_ns = self._now_ns()
        for delay_s, sent in self._corruption(message):
            if delay_s <= 0:
                self._send(sent)
            else:
                heapq.heappush(self._waiting, (self._now_ns() + round(delay_s * NANOSECONDS), next(self._order), sent))


class FaultInjector:
    """The relays by stream name: `camera`, `joints`, `foresight`, `clock`, or the names of controllers."""

    def __init__(self, node: Node, relayed: Relayed, embodiment: Embodiment, now_ns: Callable[[], int]) -> None:
        self._frames = itertools.count()
        camera, controllers = embodiment.cameras[0].name, [controller.name for controller in embodiment.controllers]

        def relay(kind: type, topic: str, profile: QoSProfile, convert: Callable[[Any], Any] = lambda message: message) -> Relay:
            return Relay(node, kind, (topic, f"{PREFIX}/{topic}"), profile, now_ns, convert)

        self.relays: dict[str, Relay] = {}
        if relayed is Relayed.INPUTS:
            self.relays["camera"] = relay(Image, f"image/{camera}", qos.SENSOR, self._with_noise)
            self.relays["joints"] = relay(JointState, "joint_states", qos.SENSOR)
            self.relays["foresight"] = relay(LatentForesight, "foresight", qos.LATEST)
        elif relayed is Relayed.CLOCK:
            self.relays["clock"] = Relay(
                node, Clock, ("/clock", f"{PREFIX}/clock"), qos.SENSOR, now_ns, stamp_of=lambda message: message.clock
            )
        elif relayed is Relayed.COMPRESSED:
            topics = f"image/{camera}", f"image/{camera}/compressed"
            self.relays["camera"] = Relay(node, Image, topics, qos.SENSOR, now_ns, self._compressed)
        for name in controllers if relayed in COMMANDED else ():
            topic = f"{name}/joint_trajectory"
            target = f"guarded/{topic}" if relayed is Relayed.GUARDED else topic
            self.relays[name] = Relay(node, JointTrajectory, (f"{PREFIX}/{topic}", target), qos.LATEST, now_ns)
        node.create_timer(0.002 if relayed in COMMANDED else 0.005, self._send_due)

    def recover(self) -> None:
        """Ends every fault."""
        for relay in self.relays.values():
            relay.recover()

    def _send_due(self) -> None:
        for relay in self.relays.values():
            relay.send_due()

    def _with_noise(self, message: Image) -> Image:
        """A renderer may repeat an image, a real sensor never does: one value of one pixel counts the frames."""
        message.data[0] = next(self._frames) % 256
        return message

    def _compressed(self, message: Image) -> CompressedImage:
        pixels = np.frombuffer(self._with_noise(message).data, np.uint8).reshape(message.height, message.width, 3)
        buffer = io.BytesIO()
        PillowImage.fromarray(pixels).save(buffer, "png", compress_level=1)
        return CompressedImage(header=message.header, format="png", data=buffer.getvalue())


def remappings(relayed: Relayed, node: str, embodiment: Embodiment) -> dict[str, str]:
    """The remappings that lead the streams of `node` through the injector; none for the robot."""
    camera = f"image/{embodiment.cameras[0].name}"
    topics: list[str] = []
    if relayed is Relayed.INPUTS:
        topics = {"system1": [camera, "joint_states", "foresight"], "system2": [camera]}.get(node, [])
    elif relayed in COMMANDED and node == "system1":
        topics = [f"{controller.name}/joint_trajectory" for controller in embodiment.controllers]
    through = {topic: f"{PREFIX}/{topic}" for topic in topics}
    return through | ({"/clock": f"{PREFIX}/clock"} if relayed is Relayed.CLOCK and node == "system1" else {})
