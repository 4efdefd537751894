"""Arming, plan and clocks together: what only their coupling does."""

from dial_core.control.arming import State
from dial_core.control.robot_clock import Step, Which

from .sequence_robot import SequenceSystem1


def test_the_reason_of_a_disarming_names_the_node_that_publishes_a_second_clock():
    system1 = SequenceSystem1("replace", simulated=True, seed=0)
    system1.arming.activate(0)
    system1.supervisor.instruct("a", 1)
    system1.supervisor.react([Step(Which.OWN, 5.0)], 2, "/robot and /second_clock publish /clock")
    assert system1.arming.state is State.DISARMED
    assert "stepped forward by 5.0 s; /robot and /second_clock publish /clock" in system1.arming.reason
