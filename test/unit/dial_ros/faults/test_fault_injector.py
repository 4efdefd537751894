"""Which streams go through the injector: those of the policy's nodes, and only the ones that a group of scenarios corrupts."""

import pytest

from dial_core.robot.embodiment import load_embodiment
from dial_ros.faults.fault_injector import PREFIX, Relayed, remappings

EMBODIMENT = load_embodiment("gr1")


@pytest.mark.parametrize("relayed", Relayed)
def test_the_robot_itself_is_never_led_through_the_injector(relayed):
    assert remappings(relayed, "mujoco_robot", EMBODIMENT) == {}


def test_the_clock_of_system1_alone_is_led_through_the_injector():
    assert remappings(Relayed.CLOCK, "system1", EMBODIMENT) == {"/clock": f"{PREFIX}/clock"}
    assert remappings(Relayed.CLOCK, "system2", EMBODIMENT) == {}


def test_every_controllers_trajectories_are_led_through_the_injector():
    topics = remappings(Relayed.COMMANDS, "system1", EMBODIMENT)
    assert list(topics) == [f"{controller.name}/joint_trajectory" for controller in EMBODIMENT.controllers]
