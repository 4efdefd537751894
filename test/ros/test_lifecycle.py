"""The base of all nodes: its lifecycle follows what the subclass managed to do, and its services are those of the policy."""

import os
import signal
import subprocess
import sys
import time
import uuid

import pytest
import rclpy
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn

from dial_core.errors import DialError
from dial_ros.bringup.security import NODE_SERVICES
from dial_ros.guard.guard_node import GuardNode
from dial_ros.mujoco_robot.mujoco_robot_node import MujocoRobotNode
from dial_ros.node.lifecycle import DialNode
from dial_ros.recorder.recorder_node import RecorderNode
from dial_ros.system1.system1_node import System1Node
from dial_ros.system2.system2_node import System2Node
from dial_ros.teleoperation.teleoperation_node import TeleoperationNode

from .conftest import PATIENCE_S

pytestmark = pytest.mark.ros


class Stubborn(DialNode):
    """Refuses to deactivate until it is allowed to."""

    may = False

    def deactivate(self) -> None:
        if not self.may:
            raise DialError("the arm is still moving")


@pytest.fixture
def node(domain):
    """In a graph of its own: DDS remembers an earlier test's node of the same name, with what is left of its services."""
    rclpy.init(domain_id=domain)
    node = Stubborn(f"stubborn_{uuid.uuid4().hex[:8]}")
    yield node
    node.destroy_node()
    rclpy.shutdown()


def test_a_node_that_fails_to_deactivate_stays_active(node):
    node.trigger_configure()
    node.trigger_activate()
    assert node.trigger_deactivate() is TransitionCallbackReturn.FAILURE
    assert node.active
    node.may = True
    assert node.trigger_deactivate() is TransitionCallbackReturn.SUCCESS
    assert not node.active


@pytest.mark.parametrize("kind", [GuardNode, MujocoRobotNode, RecorderNode, System1Node, System2Node, TeleoperationNode])
def test_a_node_that_is_not_configured_publishes_its_diagnostics_all_the_same(domain, kind):
    rclpy.init(domain_id=domain)
    try:
        node = kind()
        node.publish_diagnostics()
        node.destroy_node()
    finally:
        rclpy.shutdown()


def test_the_guard_publishes_its_diagnostics_after_a_cleanup_too(domain):
    rclpy.init(domain_id=domain, args=["--ros-args", "-p", "real_time_priority:=0"])
    try:
        node = GuardNode()
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        node.publish_diagnostics()
        assert node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS
        node.publish_diagnostics()
        node.destroy_node()
    finally:
        rclpy.shutdown()


def test_the_policy_lists_every_service_that_rclpy_gives_a_node(node):
    def offered() -> set[str]:
        return {name.rsplit("/", 1)[1] for name, _ in node.get_service_names_and_types_by_node(node.get_name(), "/")}

    until(lambda: len(offered()) >= len(NODE_SERVICES), "the graph to name every service")  # a node learns even its own from discovery
    assert offered() == set(NODE_SERVICES)


def test_a_node_ends_when_the_process_that_started_it_is_killed(tmp_path, domain):
    starter = "import subprocess, sys, time\nprint(subprocess.Popen(sys.argv[1:]).pid, flush=True)\ntime.sleep(600)"
    line = [sys.executable, "-c", starter, sys.executable, "-m", "dial_ros.recorder.recorder_node"]
    line += ["--ros-args", "-p", f"directory:={tmp_path}"]
    environment = os.environ | {"DIAL_END_WITH_PARENT": "1", "ROS_DOMAIN_ID": str(domain)}
    program = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    orphan = int(program.stdout.readline())
    try:
        probe = Context()
        rclpy.init(context=probe, domain_id=domain)
        watcher = rclpy.create_node("watcher", context=probe)
        until(lambda: "recorder" in watcher.get_node_names(), "the node")
        program.kill()
        program.wait()
        until(lambda: ended(orphan), "the orphan to end")
        watcher.destroy_node()
        rclpy.shutdown(context=probe)
    finally:
        if not ended(orphan):
            os.kill(orphan, signal.SIGKILL)


def until(condition, what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"timed out waiting for {what}"
        time.sleep(0.05)


def ended(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
