"""Arming, plan and clocks together: what only their coupling does."""

from unittest.mock import Mock

from dial_core.control.arming import Arming, State
from dial_core.control.robot_clock import Step, Which
from dial_core.control.supervisor import MotionSupervisor
from dial_core.finiteness import NotFiniteError

from .sequence_robot import SequenceSystem1


def test_the_reason_of_a_disarming_names_the_node_that_publishes_a_second_clock():
    system1 = SequenceSystem1("replace", simulated=True, seed=0)
    system1.arming.activate(0)
    system1.supervisor.instruct("a", 1)
    system1.supervisor.react([Step(Which.OWN, 5.0)], 2, "/robot and /second_clock publish /clock")
    assert system1.arming.state is State.DISARMED
    assert "stepped forward by 5.0 s; /robot and /second_clock publish /clock" in system1.arming.reason


def test_a_hold_that_is_owed_and_cannot_be_computed_is_tried_again_with_the_next_joint_state():
    plan = Mock(hold_owed=True)
    plan.hold.side_effect = [NotFiniteError("positions are not finite"), None]
    supervisor = MotionSupervisor(Arming(), plan, Mock(), simulated=False, reset_buffers=Mock())
    assert supervisor.react([], 1) == "positions are not finite"
    assert supervisor.react([], 2) == ""
    assert plan.hold.call_count == 2
