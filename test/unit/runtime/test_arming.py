"""When System-1 may move the robot."""

from dial_core.runtime.arming import Arming, Input, State

FRESH = {"camera": Input(0.1, 0.5), "foresight": Input(0.2, 0.8)}
NO_FORESIGHT = FRESH | {"foresight": Input(None, 0.8)}
STALE_CAMERA = FRESH | {"camera": Input(0.7, 0.5)}


def running():
    arming = Arming()
    arming.instruct("a", 1)
    arming.update(FRESH, 2)
    return arming


def test_without_an_instruction_nothing_arms():
    arming = Arming()
    assert not arming.update(FRESH, 1)
    assert arming.state is State.DISARMED
    assert arming.reason == "no instruction"


def test_it_waits_for_what_has_not_come_yet_and_then_runs():
    arming = Arming()
    assert not arming.instruct("a", 1)
    assert not arming.update(NO_FORESIGHT, 2)
    assert arming.state is State.WAITING
    assert "foresight" in arming.reason
    assert not arming.update(FRESH, 3)
    assert (arming.state, arming.reason, arming.changed_ns) == (State.RUNNING, "", 3)


def test_a_stale_input_asks_for_one_hold_and_recovers_by_itself():
    arming = running()
    assert arming.update(STALE_CAMERA, 3)
    assert arming.state is State.HOLDING
    assert "camera 0.70 s old (limit 0.50 s)" in arming.reason
    assert not arming.update(STALE_CAMERA, 4)
    assert not arming.update(FRESH, 5)
    assert arming.state is State.RUNNING


def test_an_input_that_went_missing_holds_too():
    arming = running()
    assert arming.update(NO_FORESIGHT, 3)
    assert arming.state is State.HOLDING
    assert arming.reason == "no foresight"


def test_a_new_instruction_stops_the_motion_of_the_old_one():
    arming = running()
    assert arming.instruct("b", 3)
    assert arming.state is State.WAITING
    assert not arming.instruct("b", 4), "the same instruction again changes nothing"


def test_after_a_clock_jump_only_a_new_instruction_arms():
    arming = running()
    arming.clock_jumped(0)
    assert not arming.update(FRESH, 1)
    assert not arming.instruct("a", 2)
    assert arming.state is State.DISARMED
    assert "clock jumped back" in arming.reason
    arming.instruct("b", 3)
    arming.update(FRESH, 4)
    assert arming.state is State.RUNNING


def test_disarming_forgets_the_instruction():
    arming = running()
    arming.disarm("not active", 3)
    assert arming.state is State.DISARMED
    assert arming.instruction_id == ""
