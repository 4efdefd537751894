"""The newest reports of every controller, polled: the guard reads them only where it has sent nothing itself."""

from collections.abc import Iterator, Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import to_ns
from dial_core.robot.embodiment import Controller
from dial_ros.node import qos
from dial_ros.node.controller_state import controller_state_type, own_positions
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.polled import PolledSubscription


class ControllerReports:
    """Subscriptions of the controllers' reports, which wake no executor. Several are kept: by two it shows whether a controller rests."""

    def __init__(self, node: DialNode, controllers: Sequence[Controller]) -> None:
        self._node = node
        self._controllers = {controller.name: controller for controller in controllers}
        state = controller_state_type()
        topics = {"reference": JointTrajectory} | ({} if state is None else {"controller_state": state})
        self._subscriptions = {
            name: [PolledSubscription(node, kind, f"{name}/{topic}", qos.PARTS) for topic, kind in topics.items()]
            for name in self._controllers
        }

    def take(self, name: str) -> Iterator[tuple[int, np.ndarray]]:
        """The newest reports of a controller that were not taken yet: stamp [ns] and the reference of its joints (J',) [rad]."""
        for subscription in self._subscriptions[name]:
            while (taken := subscription.take()) is not None:
                message = taken.message
                points = message.points if isinstance(message, JointTrajectory) else [message.reference]
                positions = own_positions(self._controllers[name], message.joint_names, points[0]) if points else None
                if positions is None:
                    self._node.complain("controller state", f"{name} reports joints {', '.join(message.joint_names)}, not its own")
                else:
                    yield to_ns(message.header.stamp), positions

    def clear(self) -> None:
        """Drops what was not taken (a clock stepped)."""
        for name in self._controllers:
            for _ in self.take(name):
                pass

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.close()
