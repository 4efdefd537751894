"""`dial replay robot` moves its own simulation and nothing else, whatever robot is in the shell's DDS domain.

pytest test/ros/test_replay.py
"""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.errors import DialError
from dial_ros.node import qos
from dial_ros.tools.client import running
from dial_ros.tools.replay import Player

from .conftest import EMBODIMENT, ENVIRONMENT, PATIENCE_S, START_S, spinning

pytestmark = pytest.mark.ros


class StandInRobot(Node):
    """Reports the home position and collects the trajectories that its controllers would follow."""

    def __init__(self, name: str, context: Context | None = None, reports: bool = True) -> None:
        super().__init__(name, context=context)
        self.trajectories: list[JointTrajectory] = []
        for controller in EMBODIMENT.controllers:
            self.create_subscription(JointTrajectory, f"{controller.name}/joint_trajectory", self.trajectories.append, qos.EVENTS)
        if reports:
            self._joints_out = self.create_publisher(JointState, "joint_states", qos.SENSOR)
            self.create_timer(0.02, self._report)

    def _report(self) -> None:
        message = JointState(name=list(EMBODIMENT.joint_names), position=EMBODIMENT.home_position.tolist())
        message.header.stamp = self.get_clock().now().to_msg()
        self._joints_out.publish(message)


@pytest.fixture
def shell(domain, monkeypatch):
    """The environment of a shell whose ROS_DOMAIN_ID is that of the robot."""
    for name, value in (ENVIRONMENT | {"ROS_DOMAIN_ID": str(domain)}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def real_robot(domain, shell):
    """A robot in the shell's domain."""
    with spinning(domain, lambda context: StandInRobot("real_robot", context)) as node:
        yield node


@pytest.fixture
def player(shell, tmp_path):
    """A function (stand-ins as name -> whether it reports joints) -> a player beside them, in a domain of their own."""
    nodes: list[Node] = []
    with running([], "sim", tmp_path):
        executor = SingleThreadedExecutor()

        def make(**robots: bool) -> tuple[Player, list[StandInRobot]]:
            made = [StandInRobot(name, reports=reports) for name, reports in robots.items()]
            nodes.extend([*made, playing := Player(EMBODIMENT, lambda: executor.spin_once(timeout_sec=0.0))])
            for node in made:
                executor.add_node(node)
            return playing, made

        yield make
        executor.shutdown()
        for node in nodes:
            node.destroy_node()


def motion_at(folder, steps: int = 5):
    """A file of targets at the home position."""
    np.savez(folder / "motion.npz", targets=np.tile(EMBODIMENT.home_position, (steps, 1)), embodiment="gr1")
    return folder / "motion.npz"


def replaying(folder, steps: int = 5) -> subprocess.Popen:
    line = [sys.executable, "-m", "dial_ros.tools.replay", str(motion_at(folder, steps)), "--out", str(folder / "out")]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_robot_in_the_domain_of_the_shell_receives_nothing(real_robot, tmp_path):
    process = replaying(tmp_path)
    said, _ = process.communicate(timeout=START_S)
    assert real_robot.trajectories == []
    assert process.returncode == 0, said
    assert json.loads((tmp_path / "out" / "replay.json").read_text())["rmse_rad"] < 0.1


def test_an_interrupt_ends_it_without_a_traceback(shell, tmp_path):
    process = replaying(tmp_path, steps=100_000)
    log = tmp_path / "out" / "log" / "mujoco_robot.log"
    while not log.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("robots", "named"),
    [
        ({"real_robot": True}, "/real_robot publishes /joint_states"),
        ({"mujoco_robot": True, "real_robot": True}, "/real_robot publishes /joint_states"),
        ({"mujoco_robot": True, "listening": False}, "/listening subscribes to /.*_controller/joint_trajectory"),
    ],
)
def test_a_player_sends_nothing_where_another_robot_reports_or_would_follow(player, robots, named):
    playing, made = player(**robots)
    with pytest.raises(DialError, match=named):
        playing.play(np.tile(EMBODIMENT.home_position, (3, 1)))
    for _ in range(20):
        playing.spin_once()
    assert [robot.trajectories for robot in made] == [[] for _ in made]


def test_a_player_alone_with_its_simulation_is_followed(player):
    playing, (robot,) = player(mujoco_robot=True)
    assert playing.play(np.tile(EMBODIMENT.home_position, (3, 1))).shape == (3, len(EMBODIMENT.joints))
    assert robot.trajectories
