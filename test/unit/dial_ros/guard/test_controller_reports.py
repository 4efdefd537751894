"""Reports of controllers as the guard reads them: of both kinds, in the controller's own order, and none that is about other joints.

pytest test/unit/dial_ros/guard/test_controller_reports.py
"""

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.robot.embodiment import load_embodiment
from dial_ros.guard import controller_reports
from dial_ros.guard.controller_reports import ControllerReports
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import to_time
from dial_ros.node.polled import Taken

GR1 = load_embodiment("gr1")
ARM = GR1.controllers[0]


class QueuedReports:
    """Stands for a polled subscription: `waiting` messages are taken in order."""

    made: dict[str, "QueuedReports"] = {}

    def __init__(self, node, kind, topic, profile):
        self.waiting, self.closed = [], False
        QueuedReports.made[topic] = self

    def take(self):
        return Taken(self.waiting.pop(0), 0) if self.waiting else None

    def close(self):
        self.closed = True


@pytest.fixture
def reports(monkeypatch):
    monkeypatch.setattr(controller_reports, "PolledSubscription", QueuedReports)
    monkeypatch.setitem(sys.modules, "control_msgs.msg", SimpleNamespace(JointTrajectoryControllerState=SimpleNamespace))
    monkeypatch.setitem(sys.modules, "control_msgs", SimpleNamespace(msg=sys.modules["control_msgs.msg"]))
    QueuedReports.made.clear()
    return ControllerReports(Mock(spec=DialNode), GR1.controllers)


def report(kind, stamp_ms, names, values):
    point, header = JointTrajectoryPoint(positions=values), SimpleNamespace(stamp=to_time(stamp_ms * 1_000_000))
    if kind == "controller_state":
        return SimpleNamespace(header=header, joint_names=names, reference=point)
    message = JointTrajectory(joint_names=names, points=[point])
    message.header.stamp = header.stamp
    return message


@pytest.mark.parametrize("kind", ["reference", "controller_state"])
def test_reports_of_both_kinds_are_taken_once_in_the_controllers_order(reports, kind):
    names = ["wheel", *reversed(ARM.joints)]
    QueuedReports.made[f"{ARM.name}/{kind}"].waiting = [report(kind, ms, names, [9.0, *map(float, range(7))]) for ms in (10, 20)]
    taken = list(reports.take(ARM.name))
    assert [stamp_ns for stamp_ns, _ in taken] == [10_000_000, 20_000_000]
    np.testing.assert_array_equal(taken[0][1], np.arange(7.0)[::-1])
    assert list(reports.take(ARM.name)) == []


def test_a_report_about_other_joints_is_named_and_left_out(reports):
    waiting = QueuedReports.made[f"{ARM.name}/reference"].waiting
    waiting += [report("reference", 10, ["wheel"], [0.0]), JointTrajectory(joint_names=["wheel"])]
    assert list(reports.take(ARM.name)) == []
    reports._node.complain.assert_called_with("controller state", f"{ARM.name} reports joints wheel, not its own")


def test_after_a_clock_step_nothing_is_left_and_in_the_end_no_subscription(reports):
    QueuedReports.made[f"{ARM.name}/reference"].waiting = [report("reference", 10, list(ARM.joints), [0.0] * 7)]
    reports.clear()
    assert list(reports.take(ARM.name)) == []
    reports.close()
    assert all(subscription.closed for subscription in QueuedReports.made.values())
    assert len(QueuedReports.made) == 2 * len(GR1.controllers)
