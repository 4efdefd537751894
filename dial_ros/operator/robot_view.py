"""What the robot shows of itself: newest images, states, joints and commands. Subscribed to only while somebody watches."""

from __future__ import annotations

import base64
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float32
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.observation.readings import UnreadableMessageError, image_from_message
from dial_core.observation.split_joint_states import SplitJointStates
from dial_core.robot.embodiment import Embodiment
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos
from dial_ros.node.polled import PolledSubscription
from dial_ros.node.states import SILENT_S
from dial_ros.operator.commanded_motion import HISTORY_S, CommandedMotion

LARGEST_LOSSLESS_PX = 40_000  # larger images are sent as JPEG
JOINTS_APART_S = 0.02  # of the robot's time, between two joint states of a curve
FEW = QoSProfile(depth=3, reliability=ReliabilityPolicy.BEST_EFFORT)  # samples of a fast topic between two refreshes
ALL = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


@dataclass
class Seen:
    """The newest of everything.

    Attributes:
        camera, foresight, change: images as data URLs for a browser; empty before the first.
        received_s: wall time of the newest report [s], by node, and of the newest `camera` and `foresight` image.
        joints: (robot time [ns], positions (J,) [rad]) of the last seconds.
        errors: (wall time [s], error, error of expecting no change) of System-2's foresight.
        diagnostics: the newest of every node, by its name without namespace.
    """

    camera: str = ""
    foresight: str = ""
    change: str = ""
    system1: System1Status | None = None
    system2: System2Status | None = None
    success: bool | None = None
    received_s: dict[str, float] = field(default_factory=dict)
    joints: deque[tuple[int, np.ndarray]] = field(default_factory=lambda: deque(maxlen=400))
    errors: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=400))
    diagnostics: dict[str, DiagnosticStatus] = field(default_factory=dict)
    clock_s: Callable[[], float] = time.monotonic  # what `received_s` and `errors` are compared with
    shown_ns: int | None = None  # the robot's time that is shown, where it is not that of the newest joints (a bag)

    def report_age_s(self, node: str) -> float:
        """How long ago the newest report of a node was received [s]; infinite before the first."""
        return self.clock_s() - self.received_s.get(node, -math.inf)

    def silent(self, node: str) -> bool:
        """Whether a node has not reported for too long, or never."""
        return self.report_age_s(node) > SILENT_S

    @property
    def robot_ns(self) -> int | None:
        """The robot's time that is shown [ns], of the newest joint state unless a bag is played; None before the first."""
        if self.shown_ns is not None:
            return self.shown_ns
        return self.joints[-1][0] if self.joints else None

    @property
    def measured(self) -> np.ndarray | None:
        """Joints (J,) [rad] at that time; None before the first."""
        now_ns = self.robot_ns
        return next((positions for stamp_ns, positions in reversed(self.joints) if now_ns is None or stamp_ns <= now_ns), None)

    def diagnosed(self, node: str, key: str) -> str:
        """A value of a node's newest diagnostics; empty if there is none."""
        status = self.diagnostics.get(node)
        return next((value.value for value in status.values if value.key == key), "") if status else ""


class RobotView:
    """Polled subscriptions of the page: nothing is received while nobody watches, and no executor wakes for a message.

    Everything is called from the page's thread.
    """

    def __init__(self, node: Node, embodiment: Embodiment, camera: str) -> None:
        self.seen, self.commanded = Seen(), CommandedMotion(embodiment)
        self.joint_names = embodiment.joint_names
        self._node, self._embodiment, self._camera = node, embodiment, camera
        self._states, self._whole_s = SplitJointStates(embodiment.joint_names), time.monotonic()  # and when they were last whole [s]
        self._parts: list[JointState] = []  # of this poll
        self._subscribed: list[tuple[PolledSubscription, Callable[[Any], None]]] = []
        self._polled_s, self._unchanged = 0.0, 0.0

    def watch(self, wanted: bool) -> None:
        """Subscribes if somebody watches (`wanted`); otherwise ends all subscriptions."""
        if wanted and not self._subscribed:
            self._whole_s = time.monotonic()
            self._forget()
            self._subscribe()
        elif not wanted:
            while self._subscribed:
                self._subscribed.pop()[0].close()

    def _forget(self) -> None:
        """Drops what was received before nobody watched: hours may have passed, and nothing tells it from what is received now."""
        seen = self.seen
        seen.camera = seen.foresight = seen.change = ""
        seen.success = None
        seen.joints.clear()

    def poll(self, period_s: float) -> None:
        """Takes what has arrived, at most once in half of `period_s` [s]: several visitors share it."""
        now_s = time.monotonic()
        if now_s - self._polled_s < period_s / 2:
            return
        self._polled_s = now_s
        for subscription, take in self._subscribed:
            while (taken := subscription.take()) is not None:
                take(taken.message)
        # Taken topic by topic: the parts of several broadcasters are brought into the order of their stamps first.
        for message in sorted(self._parts, key=lambda message: to_ns(message.header.stamp)):
            self._on_joints(message)
        self._parts.clear()
        if self.seen.robot_ns is not None:
            self.commanded.advance(self.seen.robot_ns)

    def _subscribe(self) -> None:
        def add(kind: type, topic: str, take: Callable[[Any], None], profile: QoSProfile) -> None:
            self._subscribed.append((PolledSubscription(self._node, kind, topic, profile), take))

        add(System1Status, "system1/status", self._on_system1, qos.LATCHED)
        add(System2Status, "system2/status", self._on_system2, qos.LATCHED)
        add(Bool, "mujoco_robot/success", self._on_success, qos.LATCHED)
        add(DiagnosticArray, "/diagnostics", self._on_diagnostics, ALL)
        add(Image, f"image/{self._camera}", self._on_camera, qos.SENSOR)
        add(Image, "foresight/image", self._on_foresight, qos.SENSOR)
        add(Float32, "foresight/unchanged_error", self._on_unchanged, FEW)
        add(Float32, "foresight/error", self._on_error, FEW)
        for controller in self._embodiment.controllers:
            add(JointTrajectory, f"{controller.name}/joint_trajectory", partial(self.commanded.note, controller.name), ALL)
        for topic in self._embodiment.joint_states_topics:
            add(JointState, topic, self._parts.append, qos.PARTS)

    def _on_system1(self, message: System1Status) -> None:
        self.seen.system1 = message
        self.seen.received_s["system1"] = time.monotonic()

    def _on_system2(self, message: System2Status) -> None:
        self.seen.system2 = message
        self.seen.received_s["system2"] = time.monotonic()

    def _on_success(self, message: Bool) -> None:
        self.seen.success = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        own = f"{self._node.get_namespace().rstrip('/')}/"  # /diagnostics is shared by all robots of a network
        for status in message.status:
            if status.name.startswith(own):
                name = status.name.removeprefix(own)
                self.seen.diagnostics[name] = status
                self.seen.received_s[f"diagnostics/{name}"] = time.monotonic()

    def _on_camera(self, message: Image) -> None:
        try:
            self.seen.camera = data_url(image_from_message(message))
            self.seen.received_s["camera"] = time.monotonic()
        except UnreadableMessageError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)

    def _on_foresight(self, message: Image) -> None:
        try:
            panels = image_from_message(message)  # view, foresight and change map, side by side
            side = panels.shape[0]
            self.seen.foresight, self.seen.change = data_url(panels[:, side : 2 * side]), data_url(panels[:, 2 * side : 3 * side])
            self.seen.received_s["foresight"] = time.monotonic()
        except UnreadableMessageError as error:
            self._node.get_logger().warning(f"foresight/image: {error}", throttle_duration_sec=5.0)

    def _on_unchanged(self, message: Float32) -> None:
        self._unchanged = float(message.data)

    def _on_error(self, message: Float32) -> None:
        self.seen.errors.append((time.monotonic(), float(message.data), self._unchanged))

    def _on_joints(self, message: JointState) -> None:
        try:
            positions = self._states.take(to_ns(message.header.stamp), message)
        except UnreadableMessageError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        if positions is not None:
            self._whole_s, stamp_ns = time.monotonic(), self._states.newest_ns
            if not self.seen.joints or not 0 <= stamp_ns - self.seen.joints[-1][0] < JOINTS_APART_S * NANOSECONDS:
                note_joints(self.seen, stamp_ns, positions)
        elif time.monotonic() - self._whole_s > SILENT_S:
            why = f"no joints are shown: joint states lack {', '.join(self._states.lacking)}"
            self._node.get_logger().warning(why, throttle_duration_sec=5.0)


def note_joints(seen: Seen, stamp_ns: int, positions: np.ndarray) -> None:
    """Adds measured joints; what is older than is shown, or from before the robot's clock went back, is dropped."""
    if seen.joints and stamp_ns < seen.joints[-1][0]:
        seen.joints.clear()
    seen.joints.append((stamp_ns, positions))
    while stamp_ns - seen.joints[0][0] > HISTORY_S * NANOSECONDS:
        seen.joints.popleft()


def data_url(pixels: np.ndarray) -> str:
    """An image (H, W, 3) uint8 RGB as a data URL: PNG, or JPEG where that would take long.

    Raises:
        UnreadableMessageError: it has no pixels.
    """
    import cv2

    if not pixels.size:
        raise UnreadableMessageError("an image without pixels cannot be shown")
    kind = ".png" if pixels.shape[0] * pixels.shape[1] <= LARGEST_LOSSLESS_PX else ".jpg"
    _, encoded = cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return f"data:image/{'png' if kind == '.png' else 'jpeg'};base64," + base64.b64encode(encoded.tobytes()).decode()
