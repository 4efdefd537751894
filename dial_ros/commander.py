"""The commanded motion of the whole robot, on its way to the controllers."""

import numpy as np
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from trajectory_msgs.msg import JointTrajectory

from dial_core.embodiment import Embodiment
from dial_core.runtime.guard import Clamps
from dial_core.runtime.motion import NANOSECONDS, JointMotion
from dial_core.runtime.plan import MotionPlan
from dial_ros import qos
from dial_ros.lifecycle import DialNode
from dial_ros.trajectory import TrajectorySplitter


class Commander:
    """Publishes what the plan decides. Callers keep to one thread at a time."""

    def __init__(self, node: DialNode, embodiment: Embodiment, plan: MotionPlan) -> None:
        self.plan = plan
        self._node = node
        self._splitter = TrajectorySplitter(embodiment.joint_names, embodiment.controllers)
        self._publishers = {
            c.name: node.create_publisher(JointTrajectory, f"{c.name}/joint_trajectory", qos.LATEST) for c in embodiment.controllers
        }

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, now_ns: int) -> Clamps:
        """Goes over to a chunk, see `MotionPlan.follow`; nothing is sent if that raises."""
        clamps = self.plan.follow(chunk, stamp_ns, measured, now_ns)
        self._send(self.plan.running)
        self.plan.sent(stamp_ns, now_ns, self._node.now_ns())
        return clamps

    def hold(self, now_ns: int) -> None:
        """Decelerates what runs; before the first chunk there is nothing to stop."""
        self._send(self.plan.hold(now_ns))

    def forget(self) -> None:
        """The next chunk starts from the measured joints."""
        self.plan.forget()

    def wait_until_heard(self, timeout_s: float, *others: Publisher) -> None:
        """Waits until the controllers have the last message, and the readers of `others` theirs, at most `timeout_s` [s] each."""
        for publisher in (*self._publishers.values(), *others):
            publisher.wait_for_all_acked(Duration(nanoseconds=round(timeout_s * NANOSECONDS)))

    def close(self) -> None:
        """Takes the publishers down."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def _send(self, motion: JointMotion | None) -> None:
        if motion is None:
            return
        for name, message in self._splitter.messages(motion).items():
            self._publishers[name].publish(message)
