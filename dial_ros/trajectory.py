"""A joint motion -> one JointTrajectory a controller, as ros2_controllers' joint_trajectory_controller wants it; and back."""

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.embodiment import Controller
from dial_core.runtime.motion import NANOSECONDS, JointMotion
from dial_ros.joint_trajectory_controller import TrajectoryRequest
from dial_ros.messages import to_ns, to_time


class TrajectorySplitter:
    """Splits motions of all joints by controller. Every message holds exactly its controller's joints, in its order."""

    def __init__(self, joint_names: Sequence[str], controllers: Sequence[Controller]) -> None:
        place = {name: i for i, name in enumerate(joint_names)}
        self._controllers = [(c, np.array([place[name] for name in c.joints], dtype=np.intp)) for c in controllers]

    def messages(self, motion: JointMotion) -> dict[str, JointTrajectory]:
        """Controller name -> its JointTrajectory, stamped with the motion's origin (the observation's time)."""
        durations = [_duration(offset_s) for offset_s in motion.times_s]
        return {controller.name: self._message(motion, durations, controller, index) for controller, index in self._controllers}

    @staticmethod
    def _message(motion: JointMotion, durations: list[Duration], controller: Controller, index: np.ndarray) -> JointTrajectory:
        message = JointTrajectory(joint_names=list(controller.joints))
        message.header.stamp = to_time(motion.origin_ns)
        message.points = [
            JointTrajectoryPoint(positions=position.tolist(), velocities=velocity.tolist(), time_from_start=duration)
            for position, velocity, duration in zip(motion.positions[:, index], motion.velocities[:, index], durations, strict=True)
        ]
        return message


def request_from_message(message: JointTrajectory) -> TrajectoryRequest:
    """The message as plain arrays for the emulated controller; nothing is judged here."""
    return TrajectoryRequest(
        joint_names=tuple(message.joint_names),
        stamp_ns=to_ns(message.header.stamp),
        times_ns=tuple(p.time_from_start.sec * NANOSECONDS + p.time_from_start.nanosec for p in message.points),
        positions=tuple(tuple(p.positions) for p in message.points),
        velocities=tuple(tuple(p.velocities) for p in message.points),
        efforts=tuple(tuple(p.effort) for p in message.points),
    )


def _duration(offset_s: float) -> Duration:
    offset_ns = round(offset_s * NANOSECONDS)
    return Duration(sec=offset_ns // NANOSECONDS, nanosec=offset_ns % NANOSECONDS)
