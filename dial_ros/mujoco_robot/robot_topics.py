"""Topics of the simulated robot: what it publishes of the world, and the trajectories that its controllers receive."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from geometry_msgs.msg import PointStamped
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from dial_core.robot.embodiment import Camera, Embodiment
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import image_to_message, to_time
from dial_ros.node.polled import PolledSubscription
from dial_ros.node.trajectory import reference_to_message, set_points_to_message


class RobotTopics:
    """Publishers and subscriptions of the simulated robot, from construction to `close`. Times in ns of simulated time."""

    def __init__(self, node: DialNode, embodiment: Embodiment, camera: Camera, scene_camera: bool) -> None:
        """`scene_camera`: also publish `image/scene`."""
        self._node, self._connections = node, ExitStack()
        self._names, self._base, self._camera = list(embodiment.joint_names), embodiment.base, camera
        self._joints_of = {c.name: list(c.joints) for c in embodiment.controllers}
        self._clock = self._publisher(Clock, "/clock", qos.SENSOR)
        self._joints = self._publisher(JointState, "joint_states", qos.SENSOR)
        self._image = self._publisher(Image, f"image/{camera.name}", qos.SENSOR)
        self._scene = self._publisher(Image, "image/scene", qos.SENSOR) if scene_camera else None
        self._set_points = self._publisher(JointTrajectory, "~/set_points", qos.EVENTS)
        self._target = self._publisher(PointStamped, "~/target", qos.SENSOR)  # of the object to move, in the base frame [m]
        self._success = self._publisher(Bool, "~/success", qos.LATCHED)
        self._rejected = self._publisher(String, "~/rejected", qos.EVENTS)
        self._references = {name: self._publisher(JointTrajectory, f"{name}/reference", qos.SENSOR) for name in self._joints_of}
        self._reported_origins: dict[str, int | None] = {}
        # Polled by the physics thread itself, so that a busy executor cannot delay a trajectory.
        self._inputs = {n: PolledSubscription(node, JointTrajectory, f"{n}/joint_trajectory", qos.LATEST) for n in self._joints_of}

    def close(self) -> None:
        """Destroys every publisher and subscription."""
        self._connections.close()
        while self._inputs:
            self._inputs.popitem()[1].close()

    def trajectories(self) -> Iterator[tuple[str, JointTrajectory]]:
        """Controller and message of every trajectory received since the last call; also the way to drop them."""
        for controller, subscription in self._inputs.items():
            while (taken := subscription.take()) is not None:
                yield controller, taken.message

    def publish_clock(self, now_ns: int) -> None:
        """Publishes /clock."""
        self._clock.publish(Clock(clock=to_time(now_ns)))

    def publish_joints(self, now_ns: int, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Publishes joint_states: (J,) [rad] and (J,) [rad/s]."""
        message = JointState(name=self._names, position=positions.tolist(), velocity=velocities.tolist())
        message.header.stamp = to_time(now_ns)
        self._joints.publish(message)

    def publish_set_points(self, begin_ns: int, updates_ns: Sequence[int], set_points: np.ndarray) -> None:
        """Publishes what the controllers command (K, J) [rad] at their updates (K,) [ns] after `begin_ns`, if anyone subscribes."""
        if self._set_points.get_subscription_count():
            self._set_points.publish(set_points_to_message(self._names, begin_ns, updates_ns, set_points))

    def publish_references(self, now_ns: int, references: Mapping[str, tuple[int | None, np.ndarray, np.ndarray]], periodic: bool) -> None:
        """Publishes what each controller executes (ControllerBank.references): when it starts a trajectory, and if `periodic`."""
        for name, (origin_ns, positions, velocities) in references.items():
            due = periodic or origin_ns != self._reported_origins.get(name)
            if due and (publisher := self._references[name]).get_subscription_count():
                self._reported_origins[name] = origin_ns
                publisher.publish(reference_to_message(self._joints_of[name], now_ns, origin_ns, positions, velocities))

    def publish_target(self, now_ns: int, position: np.ndarray) -> None:
        """Publishes the position of the object to move (3,) [m] in the base frame."""
        message = PointStamped()
        message.header.stamp, message.header.frame_id = to_time(now_ns), self._base
        message.point.x, message.point.y, message.point.z = position.tolist()
        self._target.publish(message)

    def publish_image(self, now_ns: int, pixels: np.ndarray) -> None:
        """Publishes the policy's camera (H, W, 3) uint8 RGB."""
        self._image.publish(image_to_message(pixels, now_ns, self._camera.frame))

    def publish_scene(self, now_ns: int, pixels: np.ndarray) -> None:
        """Publishes the view from the side (H, W, 3) uint8 RGB; needs `scene_camera`."""
        if self._scene is not None:
            self._scene.publish(image_to_message(pixels, now_ns, "world"))

    def publish_success(self, success: bool) -> None:
        """Publishes whether the task is done; latched."""
        self._success.publish(Bool(data=success))

    def publish_rejected(self, why: str) -> None:
        """Publishes why a controller rejected a trajectory."""
        self._rejected.publish(String(data=why))

    def _publisher(self, kind: type, topic: str, profile: QoSProfile) -> Publisher:
        publisher = self._node.create_publisher(kind, topic, profile)
        self._connections.callback(self._node.destroy_publisher, publisher)
        return publisher
