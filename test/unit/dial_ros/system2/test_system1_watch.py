"""The answer to an instruction says when nothing will move."""

import pytest

from dial_ros.msg import System1Status
from dial_ros.system2.system1_watch import SILENT_S, obstacle_to_motion


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (System1Status.STATE_INACTIVE, "not active"),
        (System1Status.STATE_STOPPED, "reset_estop"),
        (System1Status.STATE_PAUSED, "until the pause ends"),
    ],
)
def test_a_state_in_which_nothing_moves_is_named(state, words):
    assert words in obstacle_to_motion(System1Status(state=state), 0.1)
    assert "nothing will move" in obstacle_to_motion(System1Status(state=state), 60.0)


@pytest.mark.parametrize("state", [System1Status.STATE_DISARMED, System1Status.STATE_WAITING, System1Status.STATE_RUNNING])
def test_a_system1_that_reports_and_may_move_is_no_obstacle(state):
    assert obstacle_to_motion(System1Status(state=state), 0.1) == ""


def test_a_silent_system1_is_named():
    assert "has not reported" in obstacle_to_motion(System1Status(state=System1Status.STATE_RUNNING), SILENT_S + 0.5)


def test_a_refused_input_is_named():
    status = System1Status(state=System1Status.STATE_DISARMED, warning="an instruction would not move the robot: camera refused: too small")
    assert "camera refused" in obstacle_to_motion(status, 0.1)
