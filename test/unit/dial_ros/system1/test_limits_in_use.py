"""A URDF that narrows the limits narrows what motions are kept in, with margins, and what joint states are compared with, without.

pytest test/unit/dial_ros/system1/test_limits_in_use.py
"""

from contextlib import nullcontext
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from dial_core.control.joint_limits import Margins
from dial_core.sim.robot_urdf import robot_urdf
from dial_ros.node.messages import to_time
from dial_ros.node.robot_limits import Limits
from dial_ros.system1.system1_node import System1Node

from .senses_bench import GR1, MS, senses


def urdf(joint, upper):
    robot = ElementTree.fromstring(robot_urdf(GR1))
    robot.find(f"joint[@name='{joint}']/limit").set("upper", str(upper))
    return String(data=ElementTree.tostring(robot, encoding="unicode"))


@pytest.mark.parametrize(
    ("source", "upper", "refused"), [("robot_description", 1.5, True), ("robot_description", 2.45, False), ("embodiment", 3.0, False)]
)
def test_a_joint_far_outside_the_limits_of_the_urdf_is_refused_where_they_are_the_limits_in_use(source, upper, refused):
    both, bench, _ = senses(limits_from=source)
    node = SimpleNamespace(_lock=nullcontext())
    limits = Limits(bench, GR1, lambda guard: System1Node._on_limits(node, guard), Margins(position=0.2))
    plan = SimpleNamespace(guard=limits.guard)
    node.parts = SimpleNamespace(limits=limits, senses=both, commander=SimpleNamespace(plan=plan))
    positions = GR1.home_position.copy()
    positions[GR1.joint_names.index("l_shoulder_pitch")] = 2.5
    for stamp_ms in range(100, 320, 20):
        message = JointState(name=list(GR1.joint_names), position=positions.tolist())
        message.header.stamp = to_time(stamp_ms * MS)
        bench.callbacks["joint_states"](message)
    assert both.inputs(300 * MS)["joint_states"].refusal == ""
    bench.callbacks["robot_description"](urdf("l_shoulder_pitch", upper))
    assert limits.misfit == ""
    assert plan.guard.upper[0] == upper - 0.2
    assert ("l_shoulder_pitch at 2.50 rad" in both.inputs(300 * MS)["joint_states"].refusal) == refused
