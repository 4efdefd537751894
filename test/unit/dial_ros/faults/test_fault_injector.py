"""Which streams go through the injector: those of the policy's nodes, and only the ones that a group of scenarios corrupts."""

import pytest
from sensor_msgs.msg import JointState

from dial_core.control.motion import NANOSECONDS
from dial_core.robot.embodiment import load_embodiment
from dial_ros.faults.corruptions import delayed, dropped
from dial_ros.faults.fault_injector import PREFIX, Relay, Relayed, remappings
from dial_ros.node import qos
from dial_ros.node.messages import to_time

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


class Wires:
    """Stands for the node of a relay: sends and receives nothing."""

    def create_publisher(self, *_):
        return self

    def create_subscription(self, *_):
        pass

    def publish(self, message):
        pass


def test_a_relay_knows_how_old_the_newest_message_was_that_it_had_sent_on():
    now_s = [10.0]
    relay = Relay(Wires(), JointState, ("a", "b"), qos.SENSOR, lambda: round(now_s[0] * NANOSECONDS))

    def receive(at_s, stamp_s):
        now_s[0] = at_s
        message = JointState()
        message.header.stamp = to_time(round(stamp_s * NANOSECONDS))
        relay._on_message(message)

    def age_s(at_s):
        return relay.age_s(round(at_s * NANOSECONDS))

    assert age_s(10.0) is None
    receive(10.0, 9.9)
    receive(10.1, 10.0)
    assert age_s(10.05) == pytest.approx(0.15)
    assert age_s(10.5) == pytest.approx(0.5)
    relay.corrupt(dropped())
    receive(10.6, 10.5)
    assert age_s(10.6) == pytest.approx(0.6)
    relay.corrupt(delayed(0.3))
    receive(10.7, 10.6)
    now_s[0] = 11.0
    relay.send_due()
    assert age_s(10.9) == pytest.approx(0.9)
    assert age_s(11.0) == pytest.approx(0.4)
