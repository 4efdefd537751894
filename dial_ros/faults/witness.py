"""What is seen of a fault: status of both systems, what the controllers command, what they reject, and the clock."""

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.observation.readings import JointOrder
from dial_core.robot.embodiment import Embodiment
from dial_ros.faults.limits import LimitUse, limit_use
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos

PERIOD_NS = 10_000_000  # of the simulated controllers
STANDS_RAD = 1e-6  # a set-point that moves less in a period rests
EVERY_ONE = QoSProfile(depth=1000)  # reliable


class Witness:
    """Keeps what happened since `begin`, and the newest of everything."""

    def __init__(self, node: Node, embodiment: Embodiment) -> None:
        self._guard, self._order = Guard.for_embodiment(embodiment), JointOrder(embodiment.joint_names)
        self.now_ns = 0
        self.last_moved_ns = 0
        self._newest: np.ndarray | None = None
        self.system1: System1Status | None = None
        self.system2: System2Status | None = None
        self.begin()
        node.create_subscription(System1Status, "system1/status", self._on_system1, qos.LATCHED)
        node.create_subscription(System2Status, "system2/status", self._on_system2, qos.LATCHED)
        node.create_subscription(String, "mujoco_robot/rejected", self._on_rejected, EVERY_ONE)
        node.create_subscription(JointState, "mujoco_robot/set_points", self._on_set_points, EVERY_ONE)

    def begin(self) -> None:
        """Forgets all but the newest."""
        self.statuses: list[System1Status] = []
        self.rejected: list[str] = []
        self._stamps_ns: list[int] = []
        self._positions: list[np.ndarray] = []

    def forget_nodes(self, *names: str) -> None:
        """The named nodes' last words count no longer: they were stopped, and new ones must speak."""
        for name in names:
            setattr(self, name, None)

    def limit_use(self) -> LimitUse:
        """Of everything that the controllers commanded since `begin`."""
        positions = np.array(self._positions).reshape(len(self._positions), -1)
        return limit_use(np.array(self._stamps_ns, np.int64), positions, self._guard, PERIOD_NS)

    def rests_for_s(self) -> float:
        """How long the set-points have stood still [s]."""
        return (self.now_ns - self.last_moved_ns) / NANOSECONDS

    def _on_system1(self, message: System1Status) -> None:
        self.system1 = message
        self.statuses.append(message)

    def _on_system2(self, message: System2Status) -> None:
        self.system2 = message

    def _on_rejected(self, message: String) -> None:
        self.rejected.append(message.data)

    def _on_set_points(self, message: JointState) -> None:
        positions, stamp_ns = self._order.positions(message).copy(), to_ns(message.header.stamp)
        jumped = stamp_ns < self.now_ns
        if self._newest is None or jumped or np.abs(positions - self._newest).max() > STANDS_RAD:
            self.last_moved_ns = stamp_ns
        self.now_ns, self._newest = stamp_ns, positions
        self._stamps_ns.append(stamp_ns)
        self._positions.append(positions)
