"""Records a scenario: status of both systems, set-points of the controllers, rejected trajectories, and the robot's clock."""

import time
from pathlib import Path

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.robot.embodiment import Embodiment
from dial_ros.faults.limits import LimitUse, limit_use, worst_of
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos
from dial_ros.node.polled import PolledSubscription

CONTROLLER_HZ = 1000  # update rate of the emulated controllers in the campaign; every set-point is judged
PERIOD_NS = NANOSECONDS // CONTROLLER_HZ
RESTING_RAD_S = 1e-4  # a set-point that moves slower rests
TICK_NS = 10_000_000  # of the simulated clock
KEPT_AROUND = 1000  # set-points before and after the greatest excess: a second
ALL_MESSAGES = QoSProfile(depth=1000)  # reliable


class Monitor:
    """Everything since `begin`, and the newest of everything."""

    def __init__(self, node: Node, embodiment: Embodiment) -> None:
        self.embodiment, self._guard = embodiment, Guard.for_embodiment(embodiment)
        self.newest_ns = 0
        self.last_moved_ns = 0
        self._received_s = time.monotonic()
        self.set_points = np.empty(0)  # the newest (J,) [rad]
        self.system1: System1Status | None = None
        self.system2: System2Status | None = None
        self.begin()
        node.create_subscription(System1Status, "system1/status", self._on_system1, qos.LATCHED)
        node.create_subscription(System2Status, "system2/status", self._on_system2, qos.LATCHED)
        node.create_subscription(String, "mujoco_robot/rejected", self._on_rejected, ALL_MESSAGES)
        # Polled: on a busy machine an executor, which takes one message at a time, would fall seconds behind.
        self._set_points_in = PolledSubscription(node, JointTrajectory, "mujoco_robot/set_points", ALL_MESSAGES)

    def poll(self) -> None:
        """Takes every set-point that has arrived."""
        while (taken := self._set_points_in.take()) is not None:
            self._on_set_points(taken.message)

    def begin(self) -> None:
        """Drops all but the newest."""
        self.statuses: list[System1Status] = []
        self.rejected: list[str] = []
        self._stamps_ns: list[np.ndarray] = []
        self._positions: list[np.ndarray] = []
        self._excluded: list[tuple[str, int, int]] = []

    @property
    def now_ns(self) -> int:
        """The robot's time [ns]: of the newest set-point, and the wall time since it arrived, up to the next tick."""
        return self.newest_ns + min(round((time.monotonic() - self._received_s) * NANOSECONDS), TICK_NS - 1)

    def exclude_stop(self, controller: str, begin_ns: int, end_ns: int) -> None:
        """Does not judge the acceleration with which one controller's set-points first stand still in this time: the fault stops it."""
        self._excluded.append((controller, begin_ns, end_ns))

    def clear_status(self, *names: str) -> None:
        """Drops the last status of the named nodes (`system1`, `system2`): they were stopped, and their successors must report."""
        for name in names:
            setattr(self, name, None)

    def restart_clock(self) -> None:
        """The robot's process is started again, and its clock with it."""
        self.newest_ns = 0

    def limit_use(self) -> LimitUse:
        """How near to their limits the set-points since `begin` came."""
        return limit_use(*self._recorded(), self._guard, PERIOD_NS, self._judged()) if self._positions else LimitUse()

    def keep_worst(self, file: Path) -> str:
        """Writes the set-points around the greatest excess to `file`, NumPy's npz; says which joint and when [s of the robot's time]."""
        stamps_ns, positions = self._recorded()
        k, joint = worst_of(stamps_ns, positions, self._guard, PERIOD_NS, self._judged())
        around = slice(max(k - KEPT_AROUND, 0), k + KEPT_AROUND)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, stamps_ns=stamps_ns[around], positions=positions[around], joint_names=self.embodiment.joint_names)
        return f"{self.embodiment.joint_names[joint]} at {stamps_ns[k] / NANOSECONDS:.3f} s, see {file}"

    def _recorded(self) -> tuple[np.ndarray, np.ndarray]:
        """Stamps (K,) [ns] and set-points (K, J) [rad] since `begin`."""
        return np.concatenate(self._stamps_ns), np.concatenate(self._positions)

    def _judged(self) -> np.ndarray:
        """True (K, J) for the set-points since `begin` that are judged."""
        stamps_ns, positions = self._recorded()
        judged = np.ones(positions.shape, dtype=bool)
        for controller, begin_ns, end_ns in self._excluded:
            joints = self.embodiment.indices(next(c.joints for c in self.embodiment.controllers if c.name == controller))
            stands = (np.diff(positions[:, joints], axis=0) == 0).all(axis=1) & (stamps_ns[:-1] >= begin_ns) & (stamps_ns[:-1] <= end_ns)
            if stands.any():
                judged[int(stands.argmax()), joints] = False
        return judged

    def rests_for_s(self) -> float:
        """How long the set-points have stood still [s]."""
        return (self.newest_ns - self.last_moved_ns) / NANOSECONDS

    def _on_system1(self, message: System1Status) -> None:
        self.system1 = message
        self.statuses.append(message)

    def _on_system2(self, message: System2Status) -> None:
        self.system2 = message

    def _on_rejected(self, message: String) -> None:
        self.rejected.append(message.data)

    def _on_set_points(self, message: JointTrajectory) -> None:
        begin_ns = to_ns(message.header.stamp)
        stamps_ns = begin_ns + np.array([to_ns(point.time_from_start) for point in message.points], dtype=np.int64)
        positions = np.array([point.positions for point in message.points])
        jumped = stamps_ns[-1] < self.newest_ns
        path = positions if self.set_points.size == 0 else np.vstack([self.set_points, positions])
        speed = np.abs(np.diff(path, axis=0)).max(initial=0.0) / (PERIOD_NS / NANOSECONDS)
        if self.set_points.size == 0 or jumped or speed > RESTING_RAD_S:
            self.last_moved_ns = int(stamps_ns[-1])
        self.newest_ns, self.set_points, self._received_s = int(stamps_ns[-1]), positions[-1], time.monotonic()
        self._stamps_ns.append(stamps_ns)
        self._positions.append(positions)
