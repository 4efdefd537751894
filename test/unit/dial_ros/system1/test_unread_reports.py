"""Reports that are published and cannot be read: of another layout of the message, DDS drops each without a callback.

pytest test/unit/dial_ros/system1/test_unread_reports.py
"""

import sys
from threading import RLock
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from trajectory_msgs.msg import JointTrajectoryPoint

from dial_core.control.arming import Arming
from dial_core.control.foresight_gate import ForesightContract, ForesightGate
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.rates import Rate, StampedStream
from dial_ros.system1.execution_feedback import ExecutionFeedback, execution_of
from dial_ros.system1.senses import REFUSED
from dial_ros.system1.status_report import Report

ROBOT = load_embodiment("gr1")
LEFT, RIGHT = (controller.name for controller in ROBOT.controllers[:2])


class WatchedReports:
    """Feedback of a robot's controllers, some of which publish reports; time is what the test says."""

    def __init__(self, monkeypatch, publishing):
        monkeypatch.setitem(sys.modules, "control_msgs.msg", SimpleNamespace(JointTrajectoryControllerState=object))
        monkeypatch.setitem(sys.modules, "control_msgs", SimpleNamespace(msg=sys.modules["control_msgs.msg"]))
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)
        self.now_s, self.node, self.callbacks = 100.0, Mock(spec=DialNode), {}
        self.node.active, self.node.value.return_value = True, False
        self.node.create_subscription.side_effect = self._subscription
        self.node.count_publishers.side_effect = lambda topic: topic in {f"/left/{name}/controller_state" for name in publishing}
        self.feedback = ExecutionFeedback(self.node, ROBOT.controllers, execution_of(ROBOT, 0.3), RLock())
        self._look = self.node.every.call_args.args[1]

    def _subscription(self, kind, topic, callback, profile):
        self.callbacks[topic] = callback
        return SimpleNamespace(topic_name=f"/left/{topic}")

    def after(self, seconds):
        """Controllers whose reports count as unread so much later."""
        self.now_s += seconds
        self._look()
        return self.feedback.unread

    def report(self, name):
        joints = next(controller.joints for controller in ROBOT.controllers if controller.name == name)
        point = JointTrajectoryPoint(positions=np.zeros(len(joints)).tolist())
        header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0))
        self.callbacks[f"{name}/controller_state"](SimpleNamespace(header=header, joint_names=list(joints), reference=point))

    @property
    def warnings(self):
        return [call.args[0] for call in self.node.get_logger.return_value.warning.call_args_list]


def test_a_controller_of_which_nothing_can_be_read_is_named_after_two_seconds_and_logged_once(monkeypatch):
    watched = WatchedReports(monkeypatch, publishing=[LEFT, RIGHT])
    assert [watched.after(s) for s in (0.5, 1.0)] == [[], []]
    watched.report(RIGHT)
    assert [watched.after(s) for s in (1.1, 5.0)] == [[LEFT], [LEFT]]
    (warning,) = watched.warnings
    assert warning.startswith(f"nothing of what {LEFT} publishes on controller_state can be read")
    assert "another ROS distribution" in warning
    watched.report(LEFT)
    assert watched.after(0.5) == []


def test_a_controller_that_publishes_no_reports_is_not_one_whose_reports_cannot_be_read(monkeypatch):
    assert WatchedReports(monkeypatch, publishing=[]).after(10.0) == []


def test_the_time_counts_from_the_activation(monkeypatch):
    watched = WatchedReports(monkeypatch, publishing=[LEFT])
    watched.node.active = False
    assert watched.after(10.0) == []
    watched.node.active = True
    assert [watched.after(s) for s in (0.5, 1.0, 1.1)] == [[], [], [LEFT]]


@pytest.mark.parametrize("unread", [[], [LEFT]])
def test_the_diagnostics_warn_while_it_lasts(unread):
    camera = SimpleNamespace(rate=Rate(), arrivals=StampedStream())
    senses = SimpleNamespace(first_camera=camera, joint_rate=Rate(), refused=dict.fromkeys(REFUSED, 0), last_refusal="")
    gate = ForesightGate(ForesightContract("m", (2, 3), 0.8))
    arming = Arming()
    arming.activate(0)
    level, message, values = Report().diagnostics(0, arming, gate, senses, [], unread)
    assert level == (DiagnosticStatus.WARN if unread else DiagnosticStatus.OK)
    assert values["unread_controllers"] == ", ".join(unread)
    assert (f"the reports of {LEFT} cannot be read" in message) is bool(unread)
