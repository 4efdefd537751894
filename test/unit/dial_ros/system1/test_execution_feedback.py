"""Which controllers count as diverged, by what has been received of them."""

import sys
from threading import RLock
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import to_time
from dial_ros.system1.execution_feedback import ExecutionFeedback, divergence, execution_of


def after_a_report(at_s=1.0):
    """A commander whose arm reported at `at_s` that it plays what was sent."""
    execution = ExecutedMotion({"arm": [0, 1]}, ("a", "b"), max_divergence_rad=0.3)
    running = JointMotion.standing(ns(0.9), np.zeros(2))
    execution.sent(running, ns(0.9), ns(0.95))
    execution.note_reference("arm", ns(at_s), running.origin_ns, np.zeros(2))
    return SimpleNamespace(plan=SimpleNamespace(execution=execution, running=running), unsubscribed_controllers=set())


def ns(seconds):
    return round(seconds * NANOSECONDS)


def test_a_controller_that_is_silent_while_joint_states_arrive_has_diverged():
    commander = after_a_report()
    found = [divergence(commander, ns(t), (ns(t - 0.01), np.zeros(2))) for t in (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2)]
    assert [list(each) for each in found] == [[]] * 6 + [["arm"]]


def test_a_process_that_was_not_scheduled_does_not_take_controllers_for_silent_whose_reports_still_wait():
    assert divergence(after_a_report(), ns(2.6), (ns(1.0), np.zeros(2))) == {}


def test_controllers_whose_reports_are_read_after_the_joint_states_of_a_gap_are_not_silent():
    commander = after_a_report()
    for time_s in (0.99, 2.5, 2.6):
        assert divergence(commander, ns(time_s), (ns(time_s), np.zeros(2))) == {}
    commander.plan.execution.note_reference("arm", ns(2.6), commander.plan.running.origin_ns, np.zeros(2))
    assert divergence(commander, ns(3.0), (ns(3.0), np.zeros(2))) == {}


def test_a_controller_that_stays_silent_after_a_gap_has_diverged():
    commander = after_a_report()
    for k in range(11):
        assert divergence(commander, ns(2.5 + 0.1 * k), (ns(2.5 + 0.1 * k), np.zeros(2))) == {}
    assert list(divergence(commander, ns(3.6), (ns(3.6), np.zeros(2)))) == ["arm"]


def test_a_robot_that_cannot_be_reached_for_long_is_no_process_that_was_not_scheduled():
    commander = after_a_report()
    assert divergence(commander, ns(3.9), (ns(1.0), np.zeros(2))) == {}
    assert list(divergence(commander, ns(4.1), (ns(1.0), np.zeros(2)))) == ["arm"]


def test_without_any_joint_state_a_silent_controller_has_diverged_all_the_same():
    assert list(divergence(after_a_report(), ns(2.6), None)) == ["arm"]


def subscribed(simulated: bool) -> tuple[int, list[str]]:
    """Subscriptions a controller, and the warnings, of a node beside a simulated or a real robot."""
    robot, node = load_embodiment("gr1"), Mock(spec=DialNode)
    node.value.return_value = simulated
    ExecutionFeedback(node, robot.controllers, execution_of(robot, 0.3), RLock())
    warnings = [call.args[0] for call in node.get_logger.return_value.warning.call_args_list]
    return node.create_subscription.call_count // len(robot.controllers), warnings


def test_beside_a_real_robot_a_missing_control_msgs_is_no_silent_loss_of_the_reports(monkeypatch):
    monkeypatch.setitem(sys.modules, "control_msgs.msg", None)
    assert subscribed(simulated=True) == (1, [])
    count, warnings = subscribed(simulated=False)
    assert count == 1
    assert ["ros-jazzy-control-msgs" in warning for warning in warnings] == [True]


def test_with_control_msgs_both_kinds_of_reports_are_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "control_msgs.msg", SimpleNamespace(JointTrajectoryControllerState=object))
    monkeypatch.setitem(sys.modules, "control_msgs", SimpleNamespace(msg=sys.modules["control_msgs.msg"]))
    assert subscribed(simulated=False) == (2, [])


def test_controllers_that_do_not_say_how_long_they_have_played_are_named_once_with_the_version_that_does():
    robot, node = load_embodiment("gr1"), Mock(spec=DialNode)
    node.value.return_value = True  # simulated
    execution, arm = execution_of(robot, 0.3), robot.controllers[0]
    feedback = ExecutionFeedback(node, robot.controllers, execution, RLock())
    row = np.ones(len(robot.joint_names))
    execution.sent(JointMotion(ns(1.0), np.array([0.001, 1.0]), np.stack([0.0 * row, row]), np.stack([row, 0.0 * row])), ns(1.0), ns(1.05))
    for time_s in (1.1, 1.2):
        position = execution._sent[0].motion.sample(ns(time_s))[0][: len(arm.joints)].tolist()
        message = JointTrajectory(joint_names=list(arm.joints), points=[JointTrajectoryPoint(positions=position)])
        message.header.stamp = to_time(ns(time_s))
        feedback._on_reference(arm, message)
    (warning,) = [call.args[0] for call in node.get_logger.return_value.warning.call_args_list]
    assert warning.startswith(f"{arm.name} reports without time_from_start")
    assert "4.34.0 (Jazzy) or 5.9.0 (Kilted)" in warning


def test_a_reference_with_nan_is_refused_by_name():
    robot, node = load_embodiment("gr1"), Mock(spec=DialNode)
    execution, arm = execution_of(robot, 0.3), robot.controllers[0]
    feedback = ExecutionFeedback(node, robot.controllers, execution, RLock())
    values = [0.0] * len(arm.joints)
    point = JointTrajectoryPoint(positions=[np.nan, *values[1:]])
    feedback._on_reference(arm, JointTrajectory(joint_names=list(arm.joints), points=[point]))
    (kind, why), _ = node.complain.call_args
    assert kind == "controller state"
    assert why == f"{arm.name} reports a reference that it cannot execute: 1 of {len(values)} values are not finite: {arm.joints[0]}"
    assert not execution.reports_any
