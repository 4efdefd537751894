"""Second commanders, clocks, System-2s and joint-state sources: named, refused at activation, and a hold while running."""

import signal

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.checkpoint.contract import Contract
from dial_core.robot.embodiment import load_embodiment
from dial_ros.msg import Instruction, LatentForesight, System1Status
from dial_ros.node import qos

from .conftest import START_S
from .played_world import PlayedWorld

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def world(nodes, probe, checkpoint):
    contract = Contract.model_validate_json((checkpoint / "contract.json").read_text())
    nodes.start("system1", autostart=True, use_sim_time=True, checkpoint=checkpoint, clock_timeout=10.0)
    played = PlayedWorld(probe, contract.model_id, contract.foresight_shape, load_embodiment("gr1"))
    probe.report = DiagnosticStatus()
    probe.create_subscription(DiagnosticArray, "/diagnostics", lambda message: keep_of_system1(probe, message), qos.EVENTS)
    played.until(lambda: probe.system1 is not None, "System-1 up", START_S)
    return played


def keep_of_system1(probe, message: DiagnosticArray) -> None:
    probe.report = next((status for status in message.status if status.name == "/system1"), probe.report)


@pytest.fixture
def running(world):
    """System-1 publishing chunks for a fresh instruction."""
    world.instruct()
    world.until(lambda: world.probe.system1.instruction_id == world.instruction_id, "the instruction arrives")
    world.until_state(System1Status.STATE_RUNNING, "System-1 runs")
    before = len(world.probe.trajectories)
    world.until(lambda: len(world.probe.trajectories) > before + 1, "chunks")
    return world


@pytest.fixture
def stranger(probe):
    """A second node in the domain."""
    node = Node("stranger", context=probe.context)
    yield node
    node.destroy_node()


INTRUSIONS = {
    "/waist_controller/joint_trajectory": (JointTrajectory, qos.LATEST),
    "/foresight": (LatentForesight, qos.LATEST),
    "/instruction": (Instruction, qos.LATCHED),
    "/clock": (Clock, qos.SENSOR),
}


@pytest.mark.parametrize("topic", INTRUSIONS)
def test_a_second_publisher_makes_a_running_robot_hold_and_is_named(running, stranger, topic):
    kind, profile = INTRUSIONS[topic]
    publisher = stranger.create_publisher(kind, topic, profile)
    running.until_state(System1Status.STATE_HOLDING, "a hold")
    assert topic in running.probe.system1.reason
    # A publisher may be discovered before its node's name.
    running.until(lambda: "/stranger" in running.probe.system1.reason, "its name in the status")
    error = DiagnosticStatus.ERROR
    running.until(lambda: running.probe.report.level == error and "/stranger" in running.probe.report.message, "an error that names it")
    assert running.probe.system1.state == System1Status.STATE_HOLDING
    running.until_stopping()
    assert running.gets_nothing()
    stranger.destroy_publisher(publisher)
    running.until_state(System1Status.STATE_RUNNING, "System-1 to run again once it is alone")


def test_two_sources_of_joint_states_may_agree_and_must_not_disagree(running, stranger):
    publisher = stranger.create_publisher(JointState, "joint_states", qos.SENSOR)
    positions = list(running.joints.position)

    def step_with(offset: float) -> None:
        running.step()
        message = JointState(name=list(running.joints.name), position=[position + offset for position in positions])
        message.header.stamp = running.joints.header.stamp
        publisher.publish(message)

    end_ns = running.now_ns + 500_000_000
    running.probe.until(lambda: running.now_ns > end_ns, "half a second", step=lambda: step_with(0.0))
    assert running.probe.system1.state == System1Status.STATE_RUNNING
    running.probe.until(lambda: running.probe.system1.state == System1Status.STATE_HOLDING, "a hold", step=lambda: step_with(0.3))
    assert "/probe and /stranger publish joint states that disagree" in running.probe.system1.reason
    running.until_state(System1Status.STATE_RUNNING, "System-1 to run again")


def test_a_second_system1_is_refused_at_its_activation_and_the_first_holds_meanwhile(running, nodes, checkpoint):
    second = nodes.start("system1", as_name="second", autostart=True, use_sim_time=True, checkpoint=checkpoint)
    running.until_state(System1Status.STATE_HOLDING, "the first to hold")
    running.until(lambda: "another node named /system1 also publishes" in running.probe.system1.reason, "the reason")
    running.until(lambda: second.poll() is not None, "the second to give up", START_S)
    assert second.returncode == 1
    assert "another node named /system1 also publishes /left_arm_controller/joint_trajectory" in nodes.log("second")
    running.until_state(System1Status.STATE_RUNNING, "the first to run again")
    assert nodes.end("system1", signal.SIGTERM) == 0
