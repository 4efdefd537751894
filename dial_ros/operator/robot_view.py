"""What the robot shows of itself: newest image, foresight, states and ages. Images are subscribed to only while somebody looks."""

from __future__ import annotations

import base64
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from dial_core.observation.readings import UnreadableMessageError, image_from_message
from dial_core.robot.embodiment import Embodiment
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos

SILENT_S = 1.5  # [s of wall time] a node that reports five times a second and is not heard for so long is gone
HISTORY_S = 4.0  # of measured joints


@dataclass
class Seen:
    """The newest of everything; images as data URLs for a browser."""

    camera: str = ""
    foresight: str = ""
    change: str = ""
    system1: System1Status | None = None
    system2: System2Status | None = None
    success: bool | None = None
    received_s: dict[str, float] = field(default_factory=dict)  # wall time of the newest report, by node
    joints: deque[tuple[float, np.ndarray]] = field(default_factory=lambda: deque(maxlen=400))  # (robot time [s], positions [rad])
    commanded: dict[str, tuple[float, np.ndarray, np.ndarray]] = field(default_factory=dict)  # joint -> origin [s], times [s], positions

    def silent(self, node: str) -> bool:
        """Whether a node has not reported for too long, or never."""
        return time.monotonic() - self.received_s.get(node, -1e9) > SILENT_S


class RobotView:
    """Subscriptions of the page. Callbacks run in the ROS thread; the page reads `seen` from its own."""

    def __init__(self, node: Node, embodiment: Embodiment, camera: str) -> None:
        self.seen = Seen()
        self._node, self._embodiment, self._camera = node, embodiment, camera
        self.joint_names = embodiment.joint_names
        self._looking: list = []
        self._wanted = threading.Event()
        node.create_subscription(System1Status, "system1/status", self._on_system1, qos.LATCHED)
        node.create_subscription(System2Status, "system2/status", self._on_system2, qos.LATCHED)
        node.create_subscription(Bool, "mujoco_robot/success", self._on_success, qos.LATCHED)
        node.create_timer(0.2, self._follow_viewers)

    def look(self, wanted: bool) -> None:
        """Whether anybody looks: images, joints and trajectories are received only then."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def _follow_viewers(self) -> None:
        if self._wanted.is_set() and not self._looking:
            create, controllers = self._node.create_subscription, self._embodiment.controllers
            self._looking = [
                create(Image, f"image/{self._camera}", self._on_camera, qos.SENSOR),
                create(Image, "foresight/image", self._on_foresight, qos.SENSOR),
                create(JointState, "joint_states", self._on_joints, qos.SENSOR),
                *(create(JointTrajectory, f"{c.name}/joint_trajectory", self._on_trajectory, qos.LATEST) for c in controllers),
            ]
        elif not self._wanted.is_set() and self._looking:
            for subscription in self._looking:
                self._node.destroy_subscription(subscription)
            self._looking = []

    def _on_system1(self, message: System1Status) -> None:
        self.seen.system1 = message
        self.seen.received_s["system1"] = time.monotonic()

    def _on_system2(self, message: System2Status) -> None:
        self.seen.system2 = message
        self.seen.received_s["system2"] = time.monotonic()

    def _on_success(self, message: Bool) -> None:
        self.seen.success = message.data

    def _on_camera(self, message: Image) -> None:
        try:
            self.seen.camera = data_url(image_from_message(message))
        except UnreadableMessageError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)

    def _on_foresight(self, message: Image) -> None:
        try:
            panels = image_from_message(message)  # view, foresight and change map, side by side
        except UnreadableMessageError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        side = panels.shape[0]
        self.seen.foresight = data_url(panels[:, side : 2 * side])
        self.seen.change = data_url(panels[:, 2 * side : 3 * side])

    def _on_joints(self, message: JointState) -> None:
        place = {name: i for i, name in enumerate(message.name)}
        if not all(name in place for name in self.joint_names) or len(message.position) != len(message.name):
            return
        positions = np.array([message.position[place[name]] for name in self.joint_names])
        self.seen.joints.append((message.header.stamp.sec + message.header.stamp.nanosec * 1e-9, positions))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        if any(len(point.positions) != len(message.joint_names) for point in message.points):
            return
        origin_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        times_s = np.array([point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in message.points])
        for column, name in enumerate(message.joint_names):
            self.seen.commanded[name] = origin_s, times_s, np.array([point.positions[column] for point in message.points])


def data_url(pixels: np.ndarray) -> str:
    """An image (H, W, 3) uint8 RGB as a PNG data URL."""
    import cv2

    _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
