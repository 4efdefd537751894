"""When System-1 may move the robot: every state, every way between two, and what must be done on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.control.arming import Arming, Effect, Input, State

FRESH = {"camera": Input(0.1, 0.5), "foresight": Input(0.2, 0.8)}
NO_FORESIGHT = FRESH | {"foresight": Input(None, 0.8)}
STALE_CAMERA = FRESH | {"camera": Input(0.7, 0.5)}
OLD_FORESIGHT = FRESH | {"foresight": Input(0.7, 0.8)}


def active():
    arming = Arming()
    arming.activate(0)
    return arming


def running():
    arming = active()
    arming.instruct("a", 1)
    arming.update(FRESH, 2)
    assert arming.state is State.RUNNING
    return arming


def test_nothing_happens_before_activation():
    arming = Arming()
    arming.instruct("a", 1)
    assert arming.update(FRESH, 2) is Effect.NOTHING
    assert (arming.state, arming.reason) == (State.INACTIVE, "not active")


def test_without_an_instruction_nothing_arms():
    arming = active()
    assert arming.update(FRESH, 1) is Effect.NOTHING
    assert (arming.state, arming.reason) == (State.DISARMED, "no instruction")


def test_it_waits_for_what_has_not_come_yet_and_then_runs():
    arming = active()
    assert arming.instruct("a", 1) is Effect.NOTHING
    assert arming.update(NO_FORESIGHT, 2) is Effect.NOTHING
    assert (arming.state, arming.reason) == (State.WAITING, "waiting for foresight")
    assert arming.update(FRESH, 3) is Effect.NOTHING
    assert (arming.state, arming.reason, arming.changed_ns) == (State.RUNNING, "", 3)


def test_what_was_refused_is_reported_while_it_is_waited_for():
    arming = active()
    arming.instruct("a", 1)
    arming.update(FRESH | {"foresight": Input(None, 0.8, "model_id: made by model 'x'")}, 2)
    assert arming.reason == "waiting for foresight, foresight refused: model_id: made by model 'x'"


def test_what_is_refused_is_reported_before_an_instruction_asks_for_it():
    arming = active()
    unfit = FRESH | {"robot_description": Input(None, 1.0, "has no elbow"), "foresight": Input(None, 0.8)}
    arming.update(unfit, 1)
    assert (arming.state, arming.reason) == (State.DISARMED, "no instruction")
    assert arming.warning == "an instruction would not move the robot: robot_description refused: has no elbow"
    arming.update(FRESH, 2)
    assert arming.warning == ""
    arming.update(unfit, 3)
    arming.instruct("a", 4)
    arming.update(unfit, 5)
    assert (arming.state, arming.warning) == (State.WAITING, "")
    assert arming.reason == "waiting for foresight, robot_description, robot_description refused: has no elbow"


def test_an_input_that_grows_old_warns_first_and_only_beyond_its_limit_holds():
    arming = running()
    assert arming.update(FRESH | {"foresight": Input(0.39, 0.8)}, 3) is Effect.NOTHING
    assert arming.warning == ""
    assert arming.update(FRESH | {"foresight": Input(0.41, 0.8)}, 3) is Effect.NOTHING
    assert arming.warning == "continuing with foresight 0.41 s old (limit 0.80 s)"
    assert arming.update(OLD_FORESIGHT, 3) is Effect.NOTHING
    assert arming.state is State.RUNNING
    assert arming.warning == "continuing with foresight 0.70 s old (limit 0.80 s)"
    assert arming.update(FRESH | {"foresight": Input(0.81, 0.8)}, 4) is Effect.HOLD
    assert (arming.state, arming.warning) == (State.HOLDING, "")


def test_a_stale_input_asks_for_one_hold_and_recovers_by_itself():
    arming = running()
    assert arming.update(STALE_CAMERA, 3) is Effect.HOLD
    assert arming.state is State.HOLDING
    assert "camera 0.70 s old (limit 0.50 s)" in arming.reason
    assert arming.update(STALE_CAMERA, 4) is Effect.NOTHING
    assert arming.update(FRESH, 5) is Effect.NOTHING
    assert arming.state is State.RUNNING


def test_an_input_that_went_missing_holds_too():
    arming = running()
    assert arming.update(NO_FORESIGHT, 3) is Effect.HOLD
    assert (arming.state, arming.reason) == (State.HOLDING, "no foresight")


def test_a_new_instruction_stops_the_motion_of_the_old_one_and_the_same_again_changes_nothing():
    arming = running()
    assert arming.instruct("b", 3) is Effect.HOLD
    assert arming.state is State.WAITING
    assert arming.instruct("b", 4) is Effect.NOTHING


@pytest.mark.parametrize("restarted", [False, True])
def test_after_a_clock_step_only_a_new_instruction_arms(restarted):
    arming = running()
    effect = arming.clock_stepped("the robot's clock stepped back by 9.0 s", 0, restarted)
    assert effect == (Effect.RESET_BUFFERS | (Effect.RESET_MOTION if restarted else Effect.HOLD))
    arming.update(FRESH, 1)
    arming.instruct("a", 2)
    assert arming.state is State.DISARMED
    assert arming.reason == "the robot's clock stepped back by 9.0 s; send a new instruction"
    arming.instruct("b", 3)
    arming.update(FRESH, 4)
    assert arming.state is State.RUNNING


def test_a_hold_is_sent_again_after_a_clock_step_because_the_stamps_of_the_first_may_have_meant_nothing():
    arming = running()
    assert arming.estop("test", 3) is Effect.HOLD
    assert Effect.HOLD in arming.clock_stepped("a clock stepped", 4, restarted=False)
    assert arming.state is State.STOPPED


VOIDING = {
    "emergency stop": lambda arming: (arming.estop("test", 3), arming.reset_estop(4)),
    "clock step": lambda arming: arming.clock_stepped("a clock stepped", 3, restarted=False),
    "clock restart": lambda arming: arming.clock_stepped("a clock stepped", 3, restarted=True),
    "divergence": lambda arming: arming.diverged("arm_controller", 3),
    "nothing else": lambda arming: None,
}


@pytest.mark.parametrize("event", VOIDING)
def test_a_voided_instruction_never_arms_again_not_even_after_a_deactivation(event):
    arming = running()
    VOIDING[event](arming)
    for now in (5, 10):
        arming.deactivate(now)
        arming.activate(now + 1)
        arming.instruct("a", now + 2)  # latched: every subscription gets it again
        arming.update(FRESH, now + 3)
        assert arming.state is State.DISARMED
    arming.instruct("b", 20)
    arming.instruct("a", 21)
    arming.update(FRESH, 22)
    assert (arming.state, arming.instruction_id) == (State.RUNNING, "b")


def test_an_activation_alone_does_not_move_the_robot():
    arming = active()
    arming.update(FRESH, 2)
    assert arming.state is State.DISARMED
    assert arming.reason == "no instruction"
    arming.instruct("new", 4)
    assert arming.state is State.WAITING


def test_an_instruction_that_will_not_move_the_robot_is_answered_with_a_warning():
    arming = running()
    arming.pause(3)
    arming.instruct("b", 4)
    assert "only after the pause ends" in arming.warning
    arming.resume(5)
    assert arming.warning == ""
    arming.estop("test", 6)
    arming.instruct("c", 7)
    assert "will not move the robot" in arming.warning


def test_a_controller_that_does_not_execute_what_it_was_sent_disarms_with_a_hold():
    arming = running()
    effect = arming.diverged("arm_controller is 0.31 rad off at elbow", 3)
    assert effect == Effect.HOLD | Effect.RESET_BUFFERS
    assert (arming.state, arming.reason) == (State.DISARMED, "arm_controller is 0.31 rad off at elbow; send a new instruction")
    assert arming.diverged("again", 4) is Effect.NOTHING


def test_an_emergency_stop_latches_whatever_comes():
    arming = running()
    assert arming.estop("requested by a test", 3) is Effect.HOLD
    instruct_again, update_again = (lambda now: arming.instruct("b", now)), (lambda now: arming.update(FRESH, now))
    step = lambda now: arming.clock_stepped("a clock stepped", now, restarted=False)  # noqa: E731
    for event in (arming.resume, arming.pause, step, instruct_again, update_again):
        event(4)
        assert (arming.state, arming.reason) == (State.STOPPED, "emergency stop: requested by a test")
    arming.deactivate(5)
    arming.activate(6)
    assert arming.state is State.STOPPED
    assert arming.estop("again", 7) is Effect.HOLD, "asked again it decelerates again"


def test_after_the_reset_of_a_stop_only_an_instruction_given_later_moves_the_robot():
    arming = running()
    arming.estop("test", 3)
    arming.instruct("during the stop", 4)
    assert arming.reset_estop(5) is Effect.RESET_BUFFERS
    arming.update(FRESH, 6)
    arming.instruct("during the stop", 7)
    assert arming.state is State.DISARMED
    arming.instruct("after", 8)
    arming.update(FRESH, 9)
    assert arming.state is State.RUNNING
    assert arming.reset_estop(10) is Effect.NOTHING, "there is no stop to reset"


def test_a_stop_of_an_inactive_node_sends_nothing_but_latches():
    arming = Arming()
    assert arming.estop("test", 1) is Effect.NOTHING
    arming.activate(2)
    assert arming.state is State.STOPPED


def test_deactivation_decelerates_and_drops_the_instruction():
    arming = running()
    assert arming.deactivate(3) is Effect.HOLD
    arming.activate(4)
    assert (arming.state, arming.instruction_id) == (State.DISARMED, "")


EVENTS = {
    "activate": Arming.activate,
    "deactivate": Arming.deactivate,
    "instruct a": lambda a, now: a.instruct("a", now),
    "instruct b": lambda a, now: a.instruct("b", now),
    "pause": Arming.pause,
    "resume": Arming.resume,
    "estop": lambda a, now: a.estop("test", now),
    "reset_estop": Arming.reset_estop,
    "clock_stepped": lambda a, now: a.clock_stepped("a clock stepped", now, restarted=False),
    "clock_restarted": lambda a, now: a.clock_stepped("a clock stepped", now, restarted=True),
    "diverged": lambda a, now: a.diverged("arm_controller", now),
    "fresh": lambda a, now: a.update(FRESH, now),
    "stale": lambda a, now: a.update(STALE_CAMERA, now),
    "missing": lambda a, now: a.update(NO_FORESIGHT, now),
}


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=30))
def test_in_any_order_of_events_the_robot_never_runs_on_unasked(names):
    arming, stopped, paused, on = Arming(), False, False, False
    for now, name in enumerate(names):
        before, effect = arming.state, EVENTS[name](arming, now)
        on = {"activate": True, "deactivate": False}.get(name, on)
        stopped = {"estop": True, "reset_estop": False}.get(name, stopped)
        paused = {"pause": True, "resume": False, "activate": False}.get(name, paused)
        if arming.state is State.RUNNING:
            assert (on, stopped, paused, bool(arming.instruction_id)) == (True, False, False, True), names
            assert name == "fresh" or before is State.RUNNING
        if before is State.RUNNING and arming.state is not State.RUNNING and name != "clock_restarted":
            assert Effect.HOLD in effect, "whoever leaves running decelerates"
        if on and stopped:
            assert arming.state is State.STOPPED
        assert arming.reason or arming.state is State.RUNNING, "every state but running says why"


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_left_and_running_reached_again(state):
    arming = running()
    ways = {
        State.INACTIVE: lambda: arming.deactivate(3),
        State.DISARMED: lambda: arming.clock_stepped("a clock stepped", 3, restarted=True),
        State.WAITING: lambda: arming.instruct("c", 3),
        State.RUNNING: lambda: None,
        State.HOLDING: lambda: arming.update(STALE_CAMERA, 3),
        State.PAUSED: lambda: arming.pause(3),
        State.STOPPED: lambda: arming.estop("test", 3),
    }
    ways[state]()
    assert arming.state is state
    arming.reset_estop(4)
    if state is State.INACTIVE:
        arming.activate(4)
    arming.resume(5)
    arming.instruct("new", 6)
    arming.update(FRESH, 7)
    assert arming.state is State.RUNNING
