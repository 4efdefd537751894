"""Measured joints against what their controllers report: motors that are cut are noticed, a lag and a grip are not.

pytest test/unit/control/test_measured_divergence.py
"""

import numpy as np
import pytest

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import JointMotion

S = 1_000_000_000
NAMES = ("a", "b", "c")
FINGERS = np.array([False, False, True])


def reach(begins_s=1.0):
    """All joints from 0 to 1 rad within a second."""
    return JointMotion(round(begins_s * S), np.array([0.001, 1.0]), np.stack([np.zeros(3), np.ones(3)]), np.zeros((2, 3)))


def played(joints_at, until_s, reporting=True, fingers=FINGERS):
    """The reach is sent and played, joints are at `joints_at(motion, seconds)`: what diverged in the end, and since when [s]."""
    execution = ExecutedMotion({"arm": [0, 1], "hand": [2]}, NAMES, 0.3, fingers)
    motion, since_s = reach(), None
    execution.sent(motion, round(1.0 * S), round(1.05 * S))
    for time_s in np.arange(1.1, until_s, 0.02):
        time_ns = round(time_s * S)
        for name, columns in (("arm", [0, 1]), ("hand", [2])) if reporting else ():
            execution.note_reference(name, time_ns, motion.origin_ns, motion.sample(time_ns)[0][columns])
        execution.note_measured(motion, time_ns, joints_at(motion, time_s))
        found = execution.diverged(motion, time_ns)
        since_s = (since_s or time_s) if found else None
    return found, since_s


def test_a_robot_whose_motors_are_cut_while_its_controllers_play_on_has_diverged_after_a_second():
    """At the release of its stop button the arm would have snapped to where the references had gone meanwhile."""
    found, since_s = played(lambda motion, time_s: np.array([0.0, 0.0, 0.0]), 4.0)
    assert found == {"arm": "a is measured at 0.00 rad, but arm reports that it commands 1.00 rad (limit 0.30 rad)"}
    assert 2.2 < since_s < 3.2, "the reference has left by 0.3 rad for longer than a lag, a second ago"


@pytest.mark.parametrize("reporting", [True, False])
def test_a_grip_that_blocks_fingers_and_a_lag_of_a_quarter_of_a_second_have_not_diverged(reporting):
    def joints(motion, time_s):
        lagging = motion.sample(round((time_s - 0.25) * S))[0]
        lagging[2] = min(lagging[2], 0.2)
        return lagging

    assert played(joints, 4.0, reporting) == ({}, None)
    assert list(played(joints, 4.0, reporting, fingers=None)[0]) == ["hand"]


def test_joints_that_are_back_within_a_second_have_not_diverged():
    assert played(lambda motion, time_s: motion.sample(round(time_s * S))[0] - (0.9 if 2.0 < time_s < 2.9 else 0.0), 4.0) == ({}, None)


def test_a_joint_state_that_is_the_last_for_long_does_not_count_for_longer():
    execution = ExecutedMotion({"arm": [0, 1, 2]}, NAMES, 0.3)
    motion = JointMotion.standing(S, np.ones(3))
    execution.sent(motion, S, S)
    for time_s in np.arange(1.0, 6.0, 0.02):
        execution.note_reference("arm", round(time_s * S), motion.origin_ns, np.ones(3))
        if time_s < 1.5:
            execution.note_measured(motion, round(time_s * S), np.zeros(3))
    assert execution.diverged(motion, 6 * S) == {}


@pytest.mark.parametrize("step_s", [100.0, -0.7])
def test_a_clock_that_is_set_changes_nothing_about_how_long_joints_were_elsewhere(step_s):
    execution = ExecutedMotion({"arm": [0, 1, 2]}, NAMES, 0.3)
    motion = JointMotion.standing(S, np.ones(3))
    execution.sent(motion, S, S)

    def run(begin_s, end_s):
        for time_s in np.arange(begin_s, end_s, 0.02):
            execution.note_reference("arm", round(time_s * S), motion.origin_ns, np.ones(3))
            execution.note_measured(motion, round(time_s * S), np.zeros(3))

    run(1.0, 1.6)
    execution.shift(round(step_s * S))
    motion = motion.shifted(round(step_s * S))
    run(1.6 + step_s, 1.9 + step_s)
    assert execution.diverged(motion, round((1.9 + step_s) * S)) == {}
    run(1.9 + step_s, 2.1 + step_s)
    assert list(execution.diverged(motion, round((2.1 + step_s) * S))) == ["arm"]


@pytest.mark.parametrize("finger_rad", [0.2, 0.7])
def test_the_reason_names_no_finger_of_a_controller_that_has_the_arm_too(finger_rad):
    execution, motion = ExecutedMotion({"both": [0, 1, 2]}, NAMES, 0.3, FINGERS), reach()
    execution.sent(motion, S, S)
    for time_s in np.arange(2.0, 3.5, 0.02):
        execution.note_measured(motion, round(time_s * S), np.array([1.0, 0.4, 1.0 - finger_rad]))
    assert execution.diverged(motion, round(3.5 * S)) == {"both": "both does not execute what it is sent: b is 0.60 rad off"}


def test_a_finger_that_executes_something_else_by_its_controllers_report_is_named():
    execution, motion = ExecutedMotion({"hand": [1, 2]}, NAMES, 0.3, FINGERS), reach()
    execution.sent(motion, S, S)
    for time_s in np.arange(1.1, 3.5, 0.02):
        execution.note_reference("hand", round(time_s * S), 7 * S, np.array([1.0, 0.1]))
    assert execution.diverged(motion, round(3.5 * S)) == {"hand": "hand does not execute what it is sent: c is 0.90 rad off"}


def test_joints_that_were_elsewhere_before_the_robots_time_began_again_are_not_known_to_be():
    execution = ExecutedMotion({"arm": [0, 1, 2]}, NAMES, 0.3)
    execution.note_reference("arm", S, None, np.ones(3))
    execution.note_measured(None, S, np.zeros(3))
    assert list(execution.apart) == ["arm"]
    execution.reset()
    assert execution.apart == {}
