"""The whole robot with the guard in between: what System-1 sends passes, a pause stops through it, a stop of the guard disarms."""

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import to_ns
from dial_ros.bringup.graph import graph
from dial_ros.msg import System1Status
from dial_ros.node import qos
from dial_ros.srv import SetInstruction

from .conftest import START_S, moving

pytestmark = pytest.mark.ros

TEXT = "pick the can from the placemat and place it on the plate"


@pytest.fixture(scope="module")
def guarded(nodes, probe, checkpoint):
    """All nodes of the graph, as launch starts them with guard:=true; the probe keeps the guard's diagnostics and rejections."""
    probe.rejections, probe.report = [], None
    probe.create_subscription(String, "mujoco_robot/rejected", lambda m: probe.rejections.append(m.data), qos.EVENTS)
    probe.create_subscription(DiagnosticArray, "/diagnostics", lambda message: keep_of_guard(probe, message), qos.EVENTS)
    for node in graph("sim", guard=True, checkpoint=str(checkpoint), real_time_factor=0.5):
        # The weights are random: from drawn noise they keep the robot moving, from zeros it comes to rest, and nobody notices a stop.
        drawn = {"noise_seed": 0} if node.name == "system1" else {}
        nodes.start(node.name, remappings=node.remappings, **node.parameters, **drawn)
    probe.until(lambda: probe.system1 and probe.system2 and probe.joints and probe.report, "all nodes up", START_S)
    probe.until(
        lambda: probe.system1.state == System1Status.STATE_DISARMED and probe.report.message.startswith("passing"), "active", START_S
    )
    return probe


def keep_of_guard(probe, message):
    probe.report = next((status for status in message.status if status.name == "/guard"), probe.report)


def values(probe):
    return {value.key: value.value for value in probe.report.values}


def run(probe):
    """A new instruction, until System-1 moves the robot for it."""
    response = probe.call(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=TEXT))
    assert response.success, response.message
    probe.trajectories.clear()
    probe.until(lambda: len(probe.trajectories) > 1 and probe.system1.state == System1Status.STATE_RUNNING, "System-1 moves the robot")


def test_what_system1_sends_passes_and_the_controllers_execute_it(guarded, nodes):
    run(guarded)
    start_ns, before = to_ns(guarded.joints.header.stamp), guarded.system1.published_chunks
    guarded.until(lambda: to_ns(guarded.joints.header.stamp) > start_ns + 4_000_000_000, "four simulated seconds")
    guarded.until(lambda: int(values(guarded)["passed"]) >= 5 * (guarded.system1.published_chunks - before) - 5, "chunks pass")
    assert {key: value for key, value in values(guarded).items() if key.startswith("refused/") and value != "0"} == {}, nodes.log("guard")
    assert guarded.report.level == DiagnosticStatus.OK
    assert guarded.rejections == []
    assert guarded.system1.state == System1Status.STATE_RUNNING
    assert guarded.system1.published_chunks > before + 10


def test_a_pause_and_an_emergency_stop_reach_the_controllers_through_the_guard(guarded):
    run(guarded)
    assert guarded.call(SetBool, "system1/pause", SetBool.Request(data=True)).success
    guarded.until(lambda: not moving(guarded.joints), "the robot rests")
    assert guarded.call(SetBool, "system1/pause", SetBool.Request(data=False)).success
    run(guarded)
    assert guarded.call(Trigger, "system1/estop", Trigger.Request()).success
    guarded.until(lambda: not moving(guarded.joints), "the robot rests")
    assert guarded.call(Trigger, "system1/reset_estop", Trigger.Request()).success
    assert guarded.report.level == DiagnosticStatus.OK


def test_a_stop_of_the_guard_disarms_system1_and_a_reset_and_an_instruction_move_the_robot_again(guarded):
    run(guarded)
    intruder = guarded.create_publisher(JointTrajectory, "guarded/waist_controller/joint_trajectory", qos.LATEST)
    guarded.until(lambda: guarded.report.level == DiagnosticStatus.ERROR, "the guard stops")
    guarded.until(lambda: not moving(guarded.joints), "the robot rests")
    guarded.destroy_publisher(intruder)
    guarded.until(lambda: guarded.system1.state != System1Status.STATE_RUNNING or not guarded.report.level, "System-1 notices, or resumes")
    guarded.call(Trigger, "guard/reset", Trigger.Request())
    run(guarded)
    guarded.until(lambda: moving(guarded.joints), "the robot moves again")
