"""The commanded motion of the whole robot, on its way to the controllers."""

from collections.abc import Callable

import numpy as np
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_plan import MotionPlan, Sent
from dial_core.robot.embodiment import Embodiment
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.polled import FreshClock
from dial_ros.node.trajectory import TrajectorySplitter


class Commander:
    """Publishes what the plan decides. Callers keep to one thread at a time."""

    def __init__(self, node: DialNode, embodiment: Embodiment, plan: MotionPlan) -> None:
        self.plan = plan
        self._node, self._clock = node, FreshClock(node, node.now_ns)
        self._splitter = TrajectorySplitter(embodiment.joint_names, embodiment.controllers)
        self._publishers = {
            c.name: node.create_publisher(JointTrajectory, f"{c.name}/joint_trajectory", qos.LATEST) for c in embodiment.controllers
        }

    @property
    def unheard(self) -> list[str]:
        """Topics of controllers to which nobody listens."""
        return [publisher.topic_name for publisher in self._publishers.values() if not publisher.get_subscription_count()]

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray) -> Sent:
        """Goes over to a chunk, see `MotionPlan.follow`; nothing is sent if that raises."""
        return self.plan.follow(chunk, stamp_ns, measured, self)

    def hold(self) -> None:
        """Decelerates what runs; before the first chunk there is nothing to stop."""
        self.plan.hold(self)

    def forget(self) -> None:
        """The next chunk starts from the measured joints."""
        self.plan.forget()

    def now_ns(self) -> int:
        """What the controllers' clock shows [ns], as far as the transport tells."""
        return self._clock.now_ns()

    def prepare(self, motion: JointMotion) -> Callable[[], None]:
        """Makes the messages down to their bytes, so that publishing is a matter of microseconds."""
        messages = {name: serialize_message(message) for name, message in self._splitter.messages(motion).items()}

        def publish() -> None:
            for name, message in messages.items():
                self._publishers[name].publish(message)

        return publish

    def wait_until_heard(self, timeout_s: float, *others: Publisher) -> None:
        """Waits until the controllers have the last message, and the readers of `others` theirs, at most `timeout_s` [s] each."""
        for publisher in (*self._publishers.values(), *others):
            publisher.wait_for_all_acked(Duration(nanoseconds=round(timeout_s * NANOSECONDS)))

    def close(self) -> None:
        """Takes clock and publishers down."""
        self._clock.close()
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
