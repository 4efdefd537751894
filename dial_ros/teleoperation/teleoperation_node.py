"""Node `teleoperation`: velocities of one hand in, trajectories of the simulated robot's controllers out.

It takes System-1's place: while another node publishes trajectories it refuses to be active. Only for simulation: without a
mujoco_robot it refuses too. When no velocity arrives for `deadman` seconds, the hand stands.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Twist
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, JointMotion, to_ns
from dial_core.errors import DialError
from dial_core.observation.readings import JointOrder, UnreadableMessageError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.process import run
from dial_ros.node.states import STOPPED
from dial_ros.node.trajectory import TrajectorySplitter
from dial_ros.teleoperation.jogged_hand import Jog, JoggedHand
from dial_ros.teleoperation.teleoperation_parameters import PARAMETERS


class TeleoperationNode(DialNode):
    """The teleoperation as a lifecycle node."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("teleoperation")
        self._connections = ExitStack()
        self._hand: JoggedHand | None = None
        self._joints: tuple[int, np.ndarray] | None = None  # newest measured: robot time [ns], positions [rad]
        self._due_ns: int | None = None  # robot time of the next control step; None: begin from the measured joints
        self._stopped = False

    def configure(self) -> None:
        if self.value("hand") not in ("left", "right"):
            raise DialError(f"hand '{self.value('hand')}' is neither left nor right")
        embodiment = load_embodiment(self.value("embodiment"))
        self._period_s = 1.0 / embodiment.rate_hz
        self._hand = JoggedHand(embodiment, self.value("hand"))
        self._order = JointOrder(embodiment.joint_names)
        self._splitter = TrajectorySplitter(embodiment)
        topics = [f"{controller.name}/joint_trajectory" for controller in embodiment.controllers]
        self._outputs = {
            c.name: self.create_publisher(JointTrajectory, t, qos.LATEST) for c, t in zip(embodiment.controllers, topics, strict=True)
        }
        for publisher in self._outputs.values():
            self._connections.callback(self.destroy_publisher, publisher)
        for kind, topic, callback, profile in (
            (JointState, "joint_states", self._on_joints, qos.SENSOR),
            (Twist, "~/twist", self._on_twist, qos.LATEST),
            (Float32, "~/grip", self._on_grip, qos.LATEST),
        ):
            self._connections.callback(self.destroy_subscription, self.create_subscription(kind, topic, callback, profile))
        for name, answer in (("~/stop", self._on_stop), ("~/reset_stop", self._on_reset_stop)):
            self._connections.callback(self.destroy_service, self.create_service(Trigger, name, answer))
        self.require_sole_publishers(published=topics)

    def obstacle(self) -> str:
        if not self.publisher_names("mujoco_robot/target"):
            return "no mujoco_robot is there: teleoperation by velocities is for the simulation only"
        return "" if self._joints else "no joint states have arrived"

    def listened(self) -> bool:
        return not self.obstacle()

    def activate(self) -> None:
        if why := self.obstacle():
            raise DialError(why)
        self._twist, self._grip, self._received_s = Twist(), 0.0, -1e9
        self._begin()
        self._stepping = self.every(self._period_s / 2, self._step)

    def deactivate(self) -> None:
        self.destroy_timer(self._stepping)

    def cleanup(self) -> None:
        self._connections.close()
        if self._hand is not None:
            self._hand.close()
            self._hand = None

    def clock_jumped_back(self) -> None:
        """A reset world: begin from where its robot stands."""
        self._due_ns = None

    # -- inputs --------------------------------------------------------------------------------------------------

    def _on_joints(self, message: JointState) -> None:
        try:
            stamp_ns = to_ns(message.header.stamp)
            if self._joints and stamp_ns < self._joints[0]:
                self._due_ns = None  # the world was reset
            self._joints = stamp_ns, self._order.positions(message).copy()
        except UnreadableMessageError as error:
            self.complain("joint_states", str(error))

    def _on_twist(self, message: Twist) -> None:
        values = (message.linear.x, message.linear.y, message.linear.z, message.angular.z)
        if np.isfinite(values).all():
            self._twist, self._received_s = message, time.monotonic()

    def _on_grip(self, message: Float32) -> None:
        if np.isfinite(message.data):
            self._grip = float(message.data)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._stopped = True
        response.success, response.message = True, f"{STOPPED}; the hand stands until reset_stop"
        return response

    def _on_reset_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._stopped, self._received_s = False, -1e9
        response.success, response.message = True, "velocities move the hand again"
        return response

    # -- output --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        assert self._joints is not None
        assert self._hand is not None
        self._hand.begin(self._joints[1])
        self._target: np.ndarray = self._joints[1].copy()
        self._due_ns = self._joints[0]

    def _jog(self) -> Jog:
        if self._stopped or time.monotonic() - self._received_s > self.value("deadman"):
            return Jog()
        linear = self._twist.linear
        return Jog((linear.x, linear.y, linear.z), self._twist.angular.z, self._grip)

    def _step(self) -> None:
        """Publishes the next targets once a control step of the robot's time has passed."""
        if self._joints is None or self._hand is None or self.conflict():
            return
        now_ns = self._joints[0]
        if self._due_ns is None:
            self._begin()
        assert self._due_ns is not None
        if now_ns < self._due_ns:
            return
        jog = self._jog()
        self._due_ns = now_ns + round(self._period_s * NANOSECONDS)
        if jog.still:
            return  # the last trajectory ended at rest
        before, self._target = self._target, self._hand.step(jog, self._period_s)
        velocity = (self._target - before) / self._period_s
        ahead = self._target + velocity * self._period_s / 2  # half a step of coasting, so that the next one joins in motion
        path, speeds = np.stack([self._target, ahead]), np.stack([velocity, np.zeros_like(velocity)])
        motion = JointMotion(now_ns, self._period_s * np.array([1.0, 2.0]), path, speeds)
        for name, message in self._splitter.messages(motion).items():
            self._outputs[name].publish(message)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        state = STOPPED if self._stopped else "standing" if self._jog().still else "moving"
        closure = self._hand.closure if self._hand else 0.0
        level = DiagnosticStatus.WARN if self._stopped else DiagnosticStatus.OK
        return level, state, {"hand": self.value("hand"), "closure": round(closure, 2)}


def main() -> int:
    """Entry point; the exit status."""
    return run(TeleoperationNode)


if __name__ == "__main__":
    sys.exit(main())
