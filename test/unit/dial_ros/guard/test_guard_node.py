"""The guard's node over its lifecycle: a stop that only a reset ends outlives every transition.

pytest test/unit/dial_ros/guard/test_guard_node.py
"""

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from std_srvs.srv import Trigger

from dial_core.control.trajectory_checks import TrajectoryCheck
from dial_ros.guard.guard_node import GuardNode


@pytest.fixture
def node(monkeypatch):
    """An active guard."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(domain_id=97, args=["--ros-args", "-p", "real_time_priority:=0"])
    node = GuardNode()
    pass_through(node, "configure", "activate")
    yield node
    node.destroy_node()
    rclpy.shutdown()


def pass_through(node, *transitions):
    for transition in transitions:
        assert getattr(node, f"trigger_{transition}")() is TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize("between", [["deactivate", "activate"], ["deactivate", "cleanup", "configure", "activate"]], ids=" ".join)
def test_a_latched_stop_outlives_every_transition_and_ends_with_the_reset(node, between):
    node._guard.stop(TrajectoryCheck.VELOCITY, "left_arm_controller: would reach 9 rad/s")
    pass_through(node, *between)
    level, message, values = node.diagnose()
    assert (level, values["check"], values["latched"]) == (DiagnosticStatus.ERROR, TrajectoryCheck.VELOCITY, True)
    assert "9 rad/s" in message
    answer = node._on_reset(Trigger.Request(), Trigger.Response())
    assert answer.success
    assert "9 rad/s" in answer.message
    pass_through(node, *between)
    assert node.diagnose()[2]["state"] == "passing"


def test_a_stop_that_passes_by_itself_ends_with_the_activation(node):
    node._guard.stop(TrajectoryCheck.SOURCE, "two publish")
    pass_through(node, "deactivate", "activate")
    assert node.diagnose()[2]["state"] == "passing"


def test_a_latched_stop_can_be_reset_while_the_guard_is_not_active(node):
    node._guard.stop(TrajectoryCheck.FORM, "no point")
    pass_through(node, "deactivate")
    assert node._on_reset(Trigger.Request(), Trigger.Response()).success
    pass_through(node, "activate")
    assert node.diagnose()[2]["state"] == "passing"
