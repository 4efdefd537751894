"""No node hides an attribute of rclpy's own: one that named its timers `_timers` took the base's diagnostics timer from the executor."""

import ast
import inspect
import textwrap

import pytest
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from dial_ros.mujoco_robot.mujoco_robot_node import MujocoRobotNode
from dial_ros.node.lifecycle import DialNode
from dial_ros.recorder.recorder_node import RecorderNode
from dial_ros.system1.system1_node import System1Node
from dial_ros.system2.system2_node import System2Node
from dial_ros.tools.client import ClientNode
from dial_ros.tools.record_expert import Demonstrator
from dial_ros.tools.replay import Player
from dial_ros.tools.trials import TrialOperator


def set_on_self(kind: type) -> set[str]:
    """Attributes that the methods of a class itself set."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    targets = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return {node.attr for node in targets if isinstance(node.value, ast.Name) and node.value.id == "self"}


RCLPY = set_on_self(Node).union(*(set_on_self(kind) for kind in LifecycleNode.__mro__ if kind.__module__.startswith("rclpy.lifecycle")))


def test_the_search_finds_what_rclpy_sets():
    assert {"_timers", "_publishers", "_subscriptions", "_state_machine"} <= RCLPY


@pytest.mark.parametrize(
    "kind", [DialNode, System1Node, System2Node, MujocoRobotNode, RecorderNode, ClientNode, TrialOperator, Demonstrator, Player]
)
def test_no_node_hides_what_rclpy_sets(kind):
    assert set_on_self(kind) & RCLPY == set()
