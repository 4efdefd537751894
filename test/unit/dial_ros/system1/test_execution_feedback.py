"""Which controllers count as diverged, by what has been received of them."""

from types import SimpleNamespace

import numpy as np

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_ros.system1.execution_feedback import divergence


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
    assert list(divergence(after_a_report(), ns(2.6), (ns(2.59), np.zeros(2)))) == ["arm"]


def test_a_process_that_was_not_scheduled_does_not_take_controllers_for_silent_whose_reports_still_wait():
    assert divergence(after_a_report(), ns(2.6), (ns(1.0), np.zeros(2))) == {}


def test_without_any_joint_state_a_silent_controller_has_diverged_all_the_same():
    assert list(divergence(after_a_report(), ns(2.6), None)) == ["arm"]
