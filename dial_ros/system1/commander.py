"""Publishes the commanded motion of the whole robot, one trajectory a controller."""

from collections.abc import Callable, Collection

from rclpy.duration import Duration
from rclpy.publisher import Publisher
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_plan import MotionPlan
from dial_core.robot.embodiment import Embodiment
from dial_ros.node import qos
from dial_ros.node.dry_run import is_aside
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.robot_time import RobotTime
from dial_ros.node.strict_cdr import trajectory_bytes
from dial_ros.node.trajectory import TrajectorySplitter


class Commander:
    """Publishes what the plan decides. Callers keep to one thread at a time."""

    def __init__(self, node: DialNode, embodiment: Embodiment, plan: MotionPlan, robot_time: RobotTime) -> None:
        self.plan = plan
        self._node, self._robot_time = node, robot_time
        self._splitter = TrajectorySplitter(embodiment)
        self._publishers = {
            c.name: node.create_publisher(JointTrajectory, f"{c.name}/joint_trajectory", qos.LATEST) for c in embodiment.controllers
        }
        namespace = node.get_namespace()
        self._aside = {name for name, publisher in self._publishers.items() if is_aside(publisher.topic_name, namespace)}

    @property
    def unsubscribed(self) -> list[str]:
        """Trajectory topics that no controller subscribes to."""
        without = self.unsubscribed_controllers
        return [publisher.topic_name for name, publisher in self._publishers.items() if name in without]

    @property
    def unsubscribed_controllers(self) -> set[str]:
        """Controllers that get no trajectory: nobody subscribes to their topic, or it lies below dry_run/, where only observers do."""
        silent = {name for name, publisher in self._publishers.items() if not publisher.get_subscription_count()}
        return silent | self._aside

    def now_ns(self) -> int | None:
        """What the robot's clock shows [ns]; None while that is not known."""
        return self._robot_time.now_ns()

    def prepare(self, motion: JointMotion, without: Collection[str] = ()) -> Callable[[], None]:
        """Serialises the messages, so that publishing takes microseconds. Controllers in `without` are sent nothing."""
        messages = {name: trajectory_bytes(each) for name, each in self._splitter.messages(motion).items() if name not in without}

        def publish() -> None:
            for name, message in messages.items():
                self._publishers[name].publish(message)

        return publish

    def wait_until_acknowledged(self, timeout_s: float, *others: Publisher) -> None:
        """Waits until subscribers have acknowledged the last trajectories and the messages of `others`, at most `timeout_s` [s] each."""
        for publisher in (*self._publishers.values(), *others):
            publisher.wait_for_all_acked(Duration(nanoseconds=round(timeout_s * NANOSECONDS)))

    def close(self) -> None:
        """Destroys the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
