"""A robot that does not match the embodiment: refused at activation, reported in status and diagnostics, accepted without restart."""

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from dial_ros.msg import LatentForesight, System1Status
from dial_ros.node import qos

from .conftest import EMBODIMENT, START_S

pytestmark = pytest.mark.ros

MISSING = ("l_elbow_pitch", "torso_waist_yaw")
BY_CONTROLLER = "joint_states lack left_arm_controller (l_elbow_pitch), waist_controller (torso_waist_yaw)"


class ObservedRobot:
    """A robot's joint states and description as they are seen from outside, and what System-1 reports of them."""

    def __init__(self, probe) -> None:
        self.probe, self.names = probe, list(EMBODIMENT.joint_names)
        self.report = DiagnosticStatus()
        self._joints = probe.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._description = probe.create_publisher(String, "robot_description", qos.LATCHED)
        probe.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENTS)

    def step(self) -> None:
        message = JointState(name=self.names, position=[0.0] * len(self.names))
        message.header.stamp = self.probe.get_clock().now().to_msg()
        self._joints.publish(message)
        self.probe.spin_once()

    def describe(self, **changed: str) -> None:
        """Publishes a URDF of the embodiment's joints; `changed`: joint -> its element."""
        joints = {
            joint.name: f'<joint name="{joint.name}" type="revolute">'
            f'<limit lower="{joint.lower}" upper="{joint.upper}" velocity="{joint.velocity}" effort="1"/></joint>'
            for joint in EMBODIMENT.joints
        }
        self._description.publish(String(data=f"<robot>{''.join((joints | changed).values())}</robot>"))

    def until(self, condition, what: str, deadline_s: float = START_S):
        return self.probe.until(condition, f"{what}; diagnostics: {self.report.message}", deadline_s, self.step)

    def request(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.probe.call(ChangeState, "system1/change_state", request, START_S, self.step).success

    def values(self) -> dict[str, str]:
        return {each.key: each.value for each in self.report.values}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "/system1":
                self.report = status


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "system1.jsonl"
    path.symlink_to("/dev/full")
    return path


@pytest.fixture(scope="module")
def robot(nodes, probe, checkpoint, full_disk):
    """A robot that lacks two joints, and a System-1 that has seen it, configured."""
    robot = ObservedRobot(probe)
    robot.names = [name for name in robot.names if name not in MISSING]
    nodes.start("system1", checkpoint=checkpoint, trace_file=full_disk)
    assert robot.request(Transition.TRANSITION_CONFIGURE)
    robot.until(lambda: robot.report.message.startswith("not active, and activation would fail"), "joint states to be received")
    return robot


def test_activation_is_refused_with_the_missing_joints_by_controller(robot, nodes):
    assert BY_CONTROLLER in robot.report.message
    assert robot.report.level == DiagnosticStatus.WARN
    assert not robot.request(Transition.TRANSITION_ACTIVATE)
    assert f"activate failed: {BY_CONTROLLER}" in nodes.log("system1")


def test_the_right_joints_let_it_activate_without_a_restart(robot):
    robot.names = list(EMBODIMENT.joint_names)
    robot.until(lambda: robot.report.message == "not active", "the right joints to be received")
    assert robot.request(Transition.TRANSITION_ACTIVATE)
    robot.until(lambda: robot.probe.system1 and robot.probe.system1.state == System1Status.STATE_DISARMED, "active")
    assert robot.probe.system1.warning == ""


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ('<joint name="l_elbow_pitch" type="fixed"/>', "no controller can move: left_arm_controller (l_elbow_pitch: fixed)"),
        ("", "robot_description lacks left_arm_controller (l_elbow_pitch)"),
        (
            '<joint name="l_elbow_pitch" type="revolute"><limit lower="-0.1" upper="0.1" velocity="9" effort="1"/></joint>',
            "limits wider than robot_description's: left_arm_controller (l_elbow_pitch: ",
        ),
    ],
)
def test_a_description_that_comes_later_and_does_not_fit_is_reported_in_status_and_diagnostics(robot, element, words):
    robot.describe(l_elbow_pitch=element)
    robot.until(lambda: words in robot.probe.system1.warning and words in robot.report.message, "the misfit to be reported")
    assert robot.probe.system1.warning.startswith("an instruction would not move the robot: robot_description refused")
    assert robot.report.level == DiagnosticStatus.WARN
    robot.describe()
    robot.until(lambda: robot.probe.system1.warning == "" and words not in robot.report.message, "the misfit to end")


def test_a_publisher_whose_messages_cannot_arrive_is_named_while_it_is_there(robot):
    deaf = robot.probe.create_publisher(LatentForesight, "foresight", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    robot.until(lambda: "qos//foresight" in robot.values(), "the publisher named")
    assert "no messages between this node and /probe on /foresight" in robot.values()["qos//foresight"]
    assert "est effort publisher and reliable subscription" in robot.report.message
    robot.probe.destroy_publisher(deaf)
    robot.until(lambda: "qos//foresight" not in robot.values(), "the publisher gone")


def test_controllers_that_do_not_listen_are_named(robot):
    unheard = {f"/{controller.name}/joint_trajectory" for controller in EMBODIMENT.controllers}
    unheard -= {"/right_arm_controller/joint_trajectory"}  # the probe's
    robot.until(lambda: set(robot.values()["unheard_controllers"].split(", ")) == unheard, "the controllers named")


def test_a_trace_that_does_not_fit_on_the_disk_ends_and_the_node_continues(robot):
    assert robot.values()["trace"] == "cannot be written: No space left on device"
    assert robot.request(Transition.TRANSITION_DEACTIVATE)


def test_an_autostart_beside_a_robot_that_does_not_fit_ends_with_the_reason(robot, nodes, checkpoint):
    assert nodes.end("system1") == 0
    robot.names = [name for name in robot.names if name not in MISSING]
    process = nodes.start("system1", autostart=True, checkpoint=checkpoint)
    robot.until(lambda: process.poll() is not None, "the end")
    assert process.returncode == 1
    assert f"activate failed: {BY_CONTROLLER}" in nodes.log("system1")
    assert "Traceback" not in nodes.log("system1")
