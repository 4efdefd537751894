"""Splits joint motions into one JointTrajectory for each joint_trajectory_controller."""

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.robot.embodiment import Embodiment
from dial_ros.node.messages import to_duration, to_time


class TrajectorySplitter:
    """Splits motions of all joints by controller. Every message has exactly its controller's joints, in its order."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._controllers = [(controller, embodiment.indices(controller.joints)) for controller in embodiment.controllers]

    def messages(self, motion: JointMotion) -> dict[str, JointTrajectory]:
        """Returns a JointTrajectory for each controller name, stamped with the motion's origin."""
        durations = [to_duration(offset_s) for offset_s in motion.times_s]
        return {
            controller.name: _message(
                controller.joints, motion.origin_ns, durations, motion.positions[:, index], motion.velocities[:, index]
            )
            for controller, index in self._controllers
        }


def motion_to_message(motion: JointMotion, joint_names: Sequence[str]) -> JointTrajectory:
    """The JointTrajectory of a motion of these joints, stamped with its origin."""
    durations = [to_duration(offset_s) for offset_s in motion.times_s]
    return _message(joint_names, motion.origin_ns, durations, motion.positions, motion.velocities)


def reference_to_message(
    joint_names: Sequence[str], now_ns: int, origin_ns: int | None, positions: np.ndarray, velocities: np.ndarray
) -> JointTrajectory:
    """Returns the reference of a controller at `now_ns` as one point (J,) [rad, rad/s], timed since the trajectory's origin, or 0."""
    played_s = 0.0 if origin_ns is None else max(now_ns - origin_ns, 0) / NANOSECONDS
    point = JointTrajectoryPoint(positions=positions.tolist(), velocities=velocities.tolist(), time_from_start=to_duration(played_s))
    message = JointTrajectory(joint_names=list(joint_names), points=[point])
    message.header.stamp = to_time(now_ns)
    return message


def set_points_to_message(joint_names: Sequence[str], begin_ns: int, after_ns: Sequence[int], positions: np.ndarray) -> JointTrajectory:
    """Set-points (K, J) [rad] of all joints, commanded at the times `after_ns` (K,) [ns] after `begin_ns`."""
    message = JointTrajectory(joint_names=list(joint_names))
    message.header.stamp = to_time(begin_ns)
    message.points = [
        JointTrajectoryPoint(positions=row, time_from_start=Duration(sec=after // NANOSECONDS, nanosec=after % NANOSECONDS))
        for row, after in zip(positions.tolist(), after_ns, strict=True)
    ]
    return message


def _message(
    joint_names: Sequence[str], origin_ns: int, durations: list[Duration], positions: np.ndarray, velocities: np.ndarray
) -> JointTrajectory:
    message = JointTrajectory(joint_names=list(joint_names))
    message.header.stamp = to_time(origin_ns)
    message.points = [
        JointTrajectoryPoint(positions=position.tolist(), velocities=velocity.tolist(), time_from_start=duration)
        for position, velocity, duration in zip(positions, velocities, durations, strict=True)
    ]
    return message
