"""What a pause does, what its end resumes, and what happens to the instruction meanwhile.

pytest test/unit/control/test_arming_pauses.py
"""

from dial_core.control.arming import Effect, State

from .test_arming import FRESH, active, running


def test_a_pause_decelerates_and_its_end_starts_again_with_what_is_received_then():
    arming = running()
    assert arming.pause(3) is Effect.HOLD
    assert arming.update(FRESH, 4) is Effect.NOTHING
    assert (arming.state, arming.reason) == (State.PAUSED, "paused on request")
    assert arming.resume(5) is Effect.RESET_BUFFERS
    assert arming.state is State.WAITING
    assert arming.resume(6) is Effect.NOTHING, "it was not paused any more"


def test_an_instruction_given_in_a_pause_is_carried_out_after_it():
    arming = running()
    arming.pause(3)
    assert arming.instruct("b", 4) is Effect.NOTHING
    assert arming.state is State.PAUSED
    arming.resume(5)
    arming.update(FRESH, 6)
    assert (arming.state, arming.instruction_id) == (State.RUNNING, "b")


def test_a_stop_outlives_a_pause_and_a_pause_a_stop():
    arming = running()
    arming.pause(3)
    arming.estop("test", 4)
    arming.reset_estop(5)
    assert arming.state is State.PAUSED
    arming.resume(6)
    assert arming.state is State.DISARMED


def test_what_disarms_in_a_pause_is_a_warning_and_drops_what_was_received_once():
    """Joints that an operator had pushed aside in a pause dropped all buffers at every look, 20 times a second."""
    arming = running()
    arming.pause(3)
    effects = [arming.diverged("an arm is elsewhere", now) for now in (4, 5, 6)]
    assert effects == [Effect.RESET_BUFFERS, Effect.NOTHING, Effect.NOTHING]
    assert (arming.state, arming.reason) == (State.PAUSED, "paused on request")
    assert arming.warning == "the pause ends disarmed: an arm is elsewhere; send a new instruction"
    arming.pause(7)
    assert arming.warning.startswith("the pause ends disarmed: ")
    arming.resume(8)
    assert (arming.state, arming.reason) == (State.DISARMED, "an arm is elsewhere; send a new instruction")


def test_a_pause_without_any_instruction_has_nothing_to_warn_of():
    arming = active()
    arming.pause(3)
    assert (arming.state, arming.warning) == (State.PAUSED, "")
