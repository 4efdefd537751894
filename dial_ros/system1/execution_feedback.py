"""What the controllers report to execute, from topics: ros2_control's `controller_state`, or `reference` of the simulated robot.

`<controller>/controller_state` (control_msgs/JointTrajectoryControllerState) is subscribed where control_msgs is installed, which it
is beside any ros2_control. `<controller>/reference` carries the same as a trajectory_msgs/JointTrajectory of one point.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import RLock
from typing import Any

import numpy as np
from rclpy.subscription import Subscription
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import to_ns
from dial_core.robot.embodiment import Controller, Embodiment
from dial_ros.node import qos
from dial_ros.node.controller_state import controller_state_type, own_positions
from dial_ros.node.lifecycle import DialNode
from dial_ros.system1.commander import Commander
from dial_ros.system1.unread_reports import UnreadReports

NO_REPORTS = (
    "control_msgs is not installed (apt-get install ros-jazzy-control-msgs): what the controllers report is not read, so that the splice "
    "lead does not follow measured latencies, lost trajectories are not noticed, and max_divergence alone judges what controllers execute"
)

WITHOUT_ORIGIN = (
    "{} reports without time_from_start: what it plays is found by where it is, and its latency is not measured. "
    "Update to ros2_controllers 4.34.0 (Jazzy) or 5.9.0 (Kilted)"
)


def execution_of(embodiment: Embodiment, max_divergence_rad: float) -> ExecutedMotion:
    """The ExecutedMotion of all controllers of an embodiment."""
    columns = {c.name: embodiment.indices(c.joints).tolist() for c in embodiment.controllers}
    return ExecutedMotion(columns, embodiment.joint_names, max_divergence_rad, embodiment.fingers)


def divergence(commander: Commander, robot_ns: int | None, measured: tuple[int, np.ndarray] | None) -> dict[str, str]:
    """Controllers that do not execute what they are sent, with what is wrong; those that get no trajectory are left out.

    In a dry run that is meant, and the diagnostics name these topics.
    `measured`: time and positions of the newest joint state.
    """
    plan = commander.plan
    if robot_ns is None or plan.execution is None:
        return {}
    if measured is not None:
        plan.execution.note_measured(plan.running, *measured)
    unsubscribed = commander.unsubscribed_controllers
    return {name: why for name, why in plan.execution.diverged(plan.running, robot_ns).items() if name not in unsubscribed}


class ExecutionFeedback:
    """Subscriptions of every controller's reports. `lock` guards the execution that they are noted in."""

    def __init__(self, node: DialNode, controllers: Sequence[Controller], execution: ExecutedMotion, lock: RLock) -> None:
        self._node, self._execution, self._lock = node, execution, lock
        self._subscriptions: list[Subscription] = []
        self._without_origin: set[str] = set()  # controllers that were reported for it
        state = controller_state_type()
        if state is None and not node.value("use_sim_time"):
            node.get_logger().warning(NO_REPORTS)
        topics: dict[str, str] = {}
        for controller in controllers:
            self._subscribe(JointTrajectory, f"{controller.name}/reference", partial(self._on_reference, controller))
            if state is not None:
                subscription = self._subscribe(state, f"{controller.name}/controller_state", partial(self._on_state, controller))
                topics[controller.name] = subscription.topic_name
        self._unread = UnreadReports(node, topics)
        self._timer = node.every(0.5, self._unread.look)

    @property
    def unread(self) -> list[str]:
        """Controllers whose reports are published and cannot be read."""
        return self._unread.controllers

    def close(self) -> None:
        """Ends the subscriptions."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Subscription:
        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, qos.SENSOR))
        return self._subscriptions[-1]

    def _on_reference(self, controller: Controller, message: JointTrajectory) -> None:
        if message.points:
            self._note(controller, message, message.points[0])

    def _on_state(self, controller: Controller, message: Any) -> None:
        self._unread.note(controller.name)
        self._note(controller, message, message.reference)

    def _note(self, controller: Controller, message: Any, point: JointTrajectoryPoint) -> None:
        """Notes a report whose point has the time since the beginning of the trajectory that is played."""
        own, stamp_ns = own_positions(controller, message.joint_names, point), to_ns(message.header.stamp)
        if own is None:
            self._node.complain("controller state", f"{controller.name} reports joints {', '.join(message.joint_names)}, not its own")
            return
        played_ns = to_ns(point.time_from_start)
        with self._lock:
            refused = self._execution.note_reference(controller.name, stamp_ns, stamp_ns - played_ns if played_ns else None, own)
            without_origin = self._execution.without_origin(controller.name)
        if refused:
            self._node.complain("controller state", refused)
        if without_origin and controller.name not in self._without_origin:
            self._without_origin.add(controller.name)
            self._node.get_logger().warning(WITHOUT_ORIGIN.format(controller.name))
