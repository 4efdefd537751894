"""Lets the scripted expert drive the robot over ROS: it plans in a simulation of its own and publishes JointTrajectory chunks."""

from collections import deque

import numpy as np
from rclpy.node import Node

from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.robot.embodiment import Embodiment
from dial_core.sim.expert.expert import Expert
from dial_core.sim.world import World
from dial_ros.node import qos
from dial_ros.node.trajectory import TrajectorySplitter

LOOKAHEAD = 3  # targets a message: so many control steps may it come late


class ExpertDriver:
    """Drives mujoco_robot through the topics of its controllers.

    The scene follows from the seed, so the planning world needs no more from outside than where the object is now. Each
    message holds the next targets and a stop, in case no further one follows.
    """

    def __init__(self, node: Node, embodiment: Embodiment, task: str) -> None:
        """Creates publishers on `node`; nothing moves yet."""
        from trajectory_msgs.msg import JointTrajectory

        self._embodiment = embodiment
        self._period_ns = round(NANOSECONDS / embodiment.rate_hz)
        self._world = World(task, embodiment)
        self._splitter = TrajectorySplitter(embodiment)
        self._publishers = {
            c.name: node.create_publisher(JointTrajectory, f"{c.name}/joint_trajectory", qos.LATEST) for c in embodiment.controllers
        }

    def begin(self, seed: int, target: int | None = None) -> None:
        """Starts on a new scene, to which mujoco_robot has been reset."""
        self._world.reset(seed, target)
        self._expert = Expert(self._world, seed)
        self._before = self._world.set_points
        self._targets: deque[np.ndarray] = deque()
        self._reached_ns: int | None = None

    @property
    def done(self) -> bool:
        """Whether the expert has finished and holds still."""
        return self._expert.done

    @property
    def subscribed(self) -> bool:
        """Whether every controller has subscribed."""
        return all(publisher.get_subscription_count() > 0 for publisher in self._publishers.values())

    def drive(self, now_ns: int, object_position: np.ndarray) -> None:
        """Sends the next targets if a control step has passed.

        Args:
            now_ns: the robot's time [ns].
            object_position: centre of the named object (3,) [m].
        """
        if self._reached_ns is not None and now_ns < self._reached_ns + self._period_ns:
            return
        self._world.see_target_at(object_position)
        if self._reached_ns is None:
            self._reached_ns = now_ns
        else:
            # Steps that were missed are not caught up with: the arm would have to jump.
            self._reached_ns = max(self._reached_ns + self._period_ns, now_ns - self._period_ns)
            self._before = self._targets.popleft()
        while len(self._targets) < LOOKAHEAD:
            self._targets.append(self._expert.action()[self._embodiment.joint_slice].astype(np.float64))
        for name, message in self._splitter.messages(self._motion()).items():
            self._publishers[name].publish(message)

    def _motion(self) -> JointMotion:
        step_s = 1.0 / self._embodiment.rate_hz
        path = np.stack([self._before, *self._targets])
        velocities = np.concatenate([(path[2:] - path[:-2]) / (2 * step_s), np.zeros_like(path[:1])])
        assert self._reached_ns is not None
        return JointMotion(self._reached_ns, step_s * np.arange(1, LOOKAHEAD + 1), path[1:], velocities)

    def close(self) -> None:
        """Frees the planning simulation."""
        self._world.close()
