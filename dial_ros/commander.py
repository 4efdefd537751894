"""The commanded motion of the whole robot: splices chunks into it, stops it, and publishes it to the controllers."""

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from trajectory_msgs.msg import JointTrajectory

from dial_core.embodiment import Embodiment
from dial_core.runtime.guard import Guard
from dial_core.runtime.motion import NANOSECONDS, JointMotion
from dial_core.runtime.overlap import make_overlap
from dial_core.runtime.stitching import hold, splice
from dial_ros import qos
from dial_ros.trajectory import TrajectorySplitter


class Commander:
    """Remembers what the controllers play, and changes it. Callers keep to one thread at a time."""

    def __init__(self, node: Node, embodiment: Embodiment, guard: Guard, lead_s: float, strategy: str) -> None:
        """`lead_s`: a new motion takes over this long after it is sent [s]; `strategy`: see `runtime.overlap`."""
        self._node, self._guard, self._lead_s = node, guard, lead_s
        self._step_s = 1.0 / embodiment.rate_hz
        self._overlap = make_overlap(strategy, self._step_s)
        self._splitter = TrajectorySplitter(embodiment.joint_names, embodiment.controllers)
        self._publishers = {
            c.name: node.create_publisher(JointTrajectory, f"{c.name}/joint_trajectory", qos.LATEST) for c in embodiment.controllers
        }
        self._running: JointMotion | None = None

    def follow(self, targets: np.ndarray, stamp_ns: int, joints: np.ndarray, now_ns: int) -> int:
        """Goes over to a chunk's targets (H, J) [rad]; the number of clamped values.

        Args:
            stamp_ns: time of the chunk's observation.
            joints: measured then (J,) [rad]: where the motion starts if none runs.

        Raises:
            ChunkTooLateError: all targets are past; nothing is sent.
        """
        running = self._running or JointMotion.standing(stamp_ns, joints)
        splice_ns = now_ns + round(self._lead_s * NANOSECONDS)
        targets = self._overlap.targets(stamp_ns, targets)
        motion, clamped = splice(running, targets, stamp_ns, splice_ns, self._step_s, self._guard)
        self._send(motion)
        return clamped

    def hold(self, now_ns: int) -> None:
        """Decelerates what runs, and drops what earlier chunks intended; nothing runs before the first chunk."""
        self._overlap.forget()
        if self._running is not None:
            self._send(hold(self._running, now_ns, self._lead_s, self._guard))

    def forget(self) -> None:
        """The next chunk starts from the measured joints (the clock jumped, the robot was moved)."""
        self._overlap.forget()
        self._running = None

    def wait_until_heard(self, timeout_s: float, *others: Publisher) -> None:
        """Waits until the controllers have the last message, and the readers of `others` theirs, at most `timeout_s` [s] each."""
        for publisher in (*self._publishers.values(), *others):
            publisher.wait_for_all_acked(Duration(nanoseconds=round(timeout_s * NANOSECONDS)))

    def close(self) -> None:
        """Takes the publishers down."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def _send(self, motion: JointMotion) -> None:
        for name, message in self._splitter.messages(motion).items():
            self._publishers[name].publish(message)
        self._running = motion
