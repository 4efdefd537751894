"""Two simulated robots in one DDS domain, separated by their namespaces: what is sent to one does not reach the other."""

import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import to_ns
from dial_ros.bringup.graph import environment, graph
from dial_ros.bringup.runner import Runner
from dial_ros.msg import System1Status
from dial_ros.node import qos
from dial_ros.srv import SetInstruction

from .conftest import START_S

pytestmark = pytest.mark.ros

SIDES = ("left", "right")


@pytest.fixture(scope="module")
def robots(domain, probe, checkpoint, tmp_path_factory):
    """The `sim` graph twice, as the launch argument `namespace` makes it; the probe keeps what each says."""
    logs, runners = tmp_path_factory.mktemp("logs"), []
    probe.sent = {side: [] for side in SIDES}
    for side in SIDES:
        for kind, topic in ((System1Status, "system1/status"), (JointState, "joint_states"), (Clock, "clock")):
            setattr(probe, f"{side}/{topic}", None)
            profile = qos.LATCHED if kind is System1Status else qos.SENSOR
            probe.keep(kind, f"{side}/{topic}", f"{side}/{topic}", profile)
        probe.create_subscription(JointTrajectory, f"{side}/right_arm_controller/joint_trajectory", probe.sent[side].append, qos.EVENTS)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("ROS_DOMAIN_ID", str(domain))
            for side in SIDES:
                nodes = graph("sim", namespace=side, checkpoint=str(checkpoint), real_time_factor=0.5)
                runners.append(Runner(nodes, environment("sim"), namespace=side, log_dir=logs / side))
                runners[-1].start()
        probe.until(lambda: all(status(probe, side) for side in SIDES), "both robots up", START_S)
        yield probe
    finally:
        for runner in runners:
            runner.stop(grace_s=0.0)


def status(probe, side: str) -> System1Status | None:
    return getattr(probe, f"{side}/system1/status")


def now_ns(probe, side: str) -> int:
    return to_ns(getattr(probe, f"{side}/clock").clock)


def test_only_the_robot_that_is_instructed_gets_trajectories(robots):
    answer = robots.call(SetInstruction, "left/system2/set_instruction", SetInstruction.Request(text="pick the can"))
    assert answer.success, answer.message
    robots.until(lambda: len(robots.sent["left"]) > 3, "trajectories for the left robot")
    assert status(robots, "left").instruction_id == answer.instruction_id
    begin_ns = now_ns(robots, "right")
    robots.until(lambda: now_ns(robots, "right") > begin_ns + 500_000_000, "half a second of the right robot's own clock")
    assert robots.sent["right"] == []
    assert (status(robots, "right").state, status(robots, "right").reason) == (System1Status.STATE_DISARMED, "no instruction")


def test_nothing_of_either_lies_outside_its_namespace(robots):
    shared = {"/parameter_events", "/rosout", "/diagnostics"}
    own = {(node, f"/{side}") for side in SIDES for node in ("system1", "system2", "mujoco_robot")}
    found = {(node, space) for node, space in robots.get_node_names_and_namespaces() if node != "probe"}
    assert found == own
    for node, space in own:
        for listed in (robots.get_publisher_names_and_types_by_node, robots.get_subscriber_names_and_types_by_node):
            topics = {topic for topic, _ in listed(node, space)}
            assert {topic for topic in topics if not topic.startswith(f"{space}/")} <= shared
