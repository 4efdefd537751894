"""Replays joint targets on `mujoco_robot` over ROS, as a policy or a teleoperator would send them.

python -m dial_ros.tools.replay motion.npz --seed 7        (dial replay robot makes the file from a bag or a dataset)
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, JointMotion, to_ns
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.observation.readings import JointOrder
from dial_core.robot.embodiment import Embodiment, load_embodiment
from dial_ros.bringup.graph import graph
from dial_ros.node import qos
from dial_ros.node.sole_publishers import NAMELESS
from dial_ros.node.trajectory import TrajectorySplitter
from dial_ros.tools.client import ClientNode, running

AHEAD = 3  # targets a message
APPROACH_S = 2.0  # from where the robot stands to the first target
END_S = 1.0  # watched after the last target
STANDSTILL_S = 60.0  # of wall time in which the next control step must come
UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"  # as in rmw, of a node that is not discovered yet


class Player(ClientNode):
    """Publishes targets (T, J) [rad] at the control rate and records where the joints went."""

    def __init__(self, embodiment: Embodiment, check_alive: Callable[[], None]) -> None:
        """Arguments: the robot that plays; `check_alive` as of ClientNode."""
        super().__init__("replay", check_alive)
        self._embodiment = embodiment
        self._order, self._splitter = JointOrder(embodiment.joint_names), TrajectorySplitter(embodiment)
        self._publishers_by_name = {
            c.name: self.create_publisher(JointTrajectory, f"{c.name}/joint_trajectory", qos.LATEST) for c in embodiment.controllers
        }
        self._robot = f"{self.get_namespace().rstrip('/')}/mujoco_robot"  # the one that may be moved
        self._now_ns, self._joints = 0, np.empty(0)
        self.success = False
        self._joints_in = self.create_subscription(JointState, "joint_states", self._on_joints, qos.SENSOR)
        self.create_subscription(Bool, "mujoco_robot/success", self._on_success, qos.LATCHED)

    def play(self, targets: np.ndarray) -> np.ndarray:
        """Plays `targets`. Returns where the joints were at each target's time (T, J) [rad].

        Raises DialError as soon as another node than the simulation reports joints or would follow: it may be a real robot.
        """
        self.wait_until(lambda: self._alone() and len(self._joints), STANDSTILL_S, f"the simulated robot {self._robot}")
        step_s = 1.0 / self._embodiment.rate_hz
        self._send(JointMotion(self._now_ns, np.array([APPROACH_S]), targets[:1], np.zeros_like(targets[:1])))
        start_ns = self._now_ns + round(APPROACH_S * NANOSECONDS)
        padded = np.concatenate([targets, np.repeat(targets[-1:], AHEAD, axis=0)])
        reached = []
        for step in range(len(targets)):
            time_ns = start_ns + round(step * step_s * NANOSECONDS)
            self._wait_until_ns(time_ns)
            reached.append(self._joints)
            path = padded[step : step + AHEAD + 1]
            velocities = np.concatenate([(path[2:] - path[:-2]) / (2 * step_s), np.zeros_like(path[:1])])
            self._send(JointMotion(time_ns, step_s * np.arange(1, AHEAD + 1), path[1:], velocities))
        self._wait_until_ns(self._now_ns + round(END_S * NANOSECONDS))
        return np.stack(reached)

    def _alone(self) -> bool:
        """Whether the simulated robot reports the joints and follows every trajectory; raises DialError if any other node does."""
        uses = [("publishes", self._joints_in.topic_name, self.get_publishers_info_by_topic)]
        uses += [("subscribes to", each.topic_name, self.get_subscriptions_info_by_topic) for each in self._publishers_by_name.values()]
        alone = True
        for does, topic, infos_of in uses:
            nodes = [node_name(info) for info in infos_of(topic)]
            alone = alone and nodes == [self._robot]
            others = Counter(nodes) - Counter([self._robot])
            if named := sorted(others.keys() - {NAMELESS}):
                raise DialError(
                    f"{' and '.join(named)} {does} {topic} and may be a real robot: nothing is sent. A replay moves its own "
                    f"{self._robot} only; end the other nodes in its DDS domain, {os.environ.get('ROS_DOMAIN_ID', '0')}"
                )
        return alone

    def _wait_until_ns(self, time_ns: int) -> None:
        """Spins until the robot's clock shows `time_ns`."""
        self.wait_until(lambda: self._now_ns >= time_ns, STANDSTILL_S, "the robot's clock to advance")

    def _send(self, motion: JointMotion) -> None:
        if not self._alone():
            raise DialError(f"{self._robot} is no longer the one node that reports joints and follows trajectories: nothing more is sent")
        for name, message in self._splitter.messages(motion).items():
            self._publishers_by_name[name].publish(message)

    def _on_joints(self, message: JointState) -> None:
        self._now_ns, self._joints = to_ns(message.header.stamp), self._order.positions(message)

    def _on_success(self, message: Bool) -> None:
        self.success = message.data


def node_name(info: TopicEndpointInfo) -> str:
    """Returns the full name of the node that a publisher or subscription belongs to; `NAMELESS` until it is discovered."""
    return NAMELESS if info.node_name == UNKNOWN_NODE else f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def replay(motion: Path, seed: int, task: str, out: Path) -> dict:
    """Plays the targets in `motion` (.npz: targets (T, J) [rad], embodiment) on scene `seed`. Returns how closely the joints followed.

    The simulation has a DDS domain of its own; no robot in the shell's is moved. Raises DialError.
    """
    with np.load(motion) as file:
        targets, embodiment = file["targets"], load_embodiment(str(file["embodiment"]))
    robot = next(n for n in graph("sim", task=task, seed=seed, robot=embodiment.name) if n.name == "mujoco_robot")
    with running([robot], "sim", out / "log") as started:
        player = Player(embodiment, started.check_alive)
        try:
            reached = player.play(targets)
        finally:
            player.destroy_node()
        success = player.success
    errors = np.sqrt(((reached - targets) ** 2).mean(0))
    result = {
        "steps": len(targets),
        "success": success,
        "rmse_rad": float(np.sqrt((errors**2).mean())),
        "rmse_by_joint_rad": dict(zip(embodiment.joint_names, errors.round(5).tolist(), strict=True)),
    }
    write_json(out / "replay.json", result)
    return result


def main(words: Sequence[str] | None = None) -> int:
    """Runs the program; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("motion", type=Path, help="targets, as `dial replay robot` writes them")
    parser.add_argument("--seed", type=int, default=0, help="scene of the simulated world")
    parser.add_argument("--task", default="PlacematToPlate", help="task, by its file in config/tasks/")
    parser.add_argument("--out", type=Path, default=Path("out/replay"), help="folder for replay.json and the robot's log")
    chosen = parser.parse_args(words)
    try:
        result = replay(chosen.motion, chosen.seed, chosen.task, chosen.out)
    except DialError as error:
        print(f"replay failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{result['steps']} steps, joints {result['rmse_rad']:.4f} rad from their targets, success: {result['success']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
