"""Waits until every node of a graph reports in its diagnostics that it is active."""

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from dial_ros.node import qos
from dial_ros.node.lifecycle import NOT_ACTIVE


class Readiness:
    """Subscribes to /diagnostics, in an rclpy context of its own."""

    def __init__(self, names: list[str], namespace: str = "") -> None:
        """`names`: of the nodes that are awaited."""
        prefix = f"/{namespace.strip('/')}/" if namespace.strip("/") else "/"
        self._awaited = {f"{prefix}{name}" for name in names}
        self.instruction = ""  # of the simulated scene, as soon as mujoco_robot reports it
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("readiness", context=self._context, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENTS)

    def reached(self, timeout_s: float) -> bool:
        """Spins for at most `timeout_s` [s]; returns whether all nodes are active."""
        self._executor.spin_once(timeout_sec=timeout_s)
        return not self._awaited

    def close(self) -> None:
        """Leaves the ROS graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if not status.message.startswith(NOT_ACTIVE):
                self._awaited.discard(status.name)
            self.instruction = next((value.value for value in status.values if value.key == "instruction"), self.instruction)
