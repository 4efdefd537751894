"""mujoco_robot as controllers and clock; and how nodes refuse to start."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from dial_core.config import config_path
from dial_core.control.motion import JointMotion, to_ns
from dial_ros.node import qos
from dial_ros.node.trajectory import TrajectorySplitter
from dial_ros.srv import ResetWorld, StepWorld

from .conftest import EMBODIMENT, START_S

pytestmark = pytest.mark.ros

ELBOW = EMBODIMENT.joint_names.index("r_elbow_pitch")


@pytest.fixture(scope="module")
def robot(nodes, probe):
    """mujoco_robot, brought up through its lifecycle services."""
    nodes.start("mujoco_robot", seed=100_000)
    probe.clock = probe.image = probe.success = None
    probe.rejections = []
    probe.keep(Clock, "/clock", "clock", qos.SENSOR)
    probe.keep(Image, "image/ego", "image", qos.SENSOR)
    probe.keep(Bool, "mujoco_robot/success", "success", qos.LATCHED)
    probe.diagnostics = []
    probe.create_subscription(DiagnosticArray, "/diagnostics", probe.diagnostics.append, qos.EVENTS)
    probe.create_subscription(String, "mujoco_robot/rejected", lambda m: probe.rejections.append(m.data), qos.EVENTS)
    probe.arm = probe.create_publisher(JointTrajectory, "right_arm_controller/joint_trajectory", qos.LATEST)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert probe.call(ChangeState, "mujoco_robot/change_state", request, START_S).success
    probe.until(lambda: probe.arm.get_subscription_count() == 2, "the controller listens, beside the probe itself")
    probe.until(lambda: probe.clock and probe.image and probe.joints and probe.success, "clock, image, joints and judgement")
    return probe


def elbow(probe):
    return probe.joints.position[list(probe.joints.name).index("r_elbow_pitch")]


def bend(probe, to: float, stamp_ns: int, seconds: float = 2.0) -> JointTrajectory:
    """The right arm's message that bends the elbow to `to` [rad]; two seconds leave it time to arrive on a busy machine."""
    order = [probe.joints.name.index(name) for name in EMBODIMENT.joint_names]
    position = [probe.joints.position[i] for i in order]
    position[ELBOW] = to
    still = [[0.0] * len(position)]
    motion = JointMotion(stamp_ns, np.array([seconds]), np.array([position]), np.array(still))
    return TrajectorySplitter(EMBODIMENT).messages(motion)["right_arm_controller"]


def test_it_publishes_clock_joints_images_and_the_judgement(robot):
    assert robot.joints.name == list(EMBODIMENT.joint_names)
    assert (robot.image.height, robot.image.width, robot.image.encoding) == (96, 96, "rgb8")
    assert to_ns(robot.image.header.stamp) % 50_000_000 == 0
    assert robot.success.data is False


def test_a_good_trajectory_is_played_and_its_end_held(robot):
    goal = elbow(robot) - 0.3
    robot.arm.publish(bend(robot, goal, to_ns(robot.joints.header.stamp)))
    robot.until(lambda: abs(elbow(robot) - goal) < 0.05, "the elbow bends")
    start_ns = to_ns(robot.joints.header.stamp)
    robot.until(lambda: to_ns(robot.joints.header.stamp) > start_ns + 500_000_000, "half a simulated second")
    assert abs(elbow(robot) - goal) < 0.05
    assert robot.rejections == []


def test_a_trajectory_that_is_wholly_past_or_ends_in_motion_is_rejected_and_named(robot):
    before = elbow(robot)
    late = bend(robot, before - 0.5, 10_000_000, 0.5)
    robot.until(lambda: to_ns(robot.joints.header.stamp) > 800_000_000, "0.8 simulated seconds")
    robot.arm.publish(late)
    robot.until(lambda: any("in the past" in text for text in robot.rejections), "a rejection")
    moving = bend(robot, before - 0.5, to_ns(robot.joints.header.stamp))
    moving.points[-1].velocities[0] = 0.5
    robot.arm.publish(moving)
    robot.until(lambda: any("point is not zero" in text for text in robot.rejections), "a rejection")
    assert abs(elbow(robot) - before) < 0.05


def test_a_trajectory_from_before_a_reset_is_neither_played_nor_rejected_but_counted(robot):
    robot.until(lambda: to_ns(robot.joints.header.stamp) > 1_000_000_000, "a simulated second")
    before_ns = to_ns(robot.joints.header.stamp)
    assert robot.call(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=100_000, target=-1)).success
    robot.until(lambda: to_ns(robot.joints.header.stamp) < before_ns, "the clock of the new world")
    stands, rejections = elbow(robot), list(robot.rejections)
    robot.arm.publish(bend(robot, stands - 0.5, before_ns))

    def outdated():
        reports = [s for array in robot.diagnostics for s in array.status if s.name == "/mujoco_robot"]
        return any(value.key == "outdated_trajectories" and int(value.value) >= 1 for status in reports for value in status.values)

    robot.until(outdated, "the count in the diagnostics")
    assert abs(elbow(robot) - stands) < 0.05
    assert robot.rejections == rejections


def test_a_reset_to_a_negative_seed_is_refused_and_the_robot_continues(robot):
    response = robot.call(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=-1, target=-1))
    assert not response.success
    assert "seed -1" in response.message
    now_ns = to_ns(robot.joints.header.stamp)
    robot.until(lambda: to_ns(robot.joints.header.stamp) > now_ns + 100_000_000, "the clock to advance")


def test_a_paused_world_advances_by_whole_steps_only(robot):
    refused = robot.call(StepWorld, "mujoco_robot/step", StepWorld.Request(steps=5))
    assert not refused.success
    assert "only while it is active and paused" in refused.message
    assert robot.call(SetBool, "mujoco_robot/set_pause", SetBool.Request(data=True)).success
    begin = robot.call(StepWorld, "mujoco_robot/step", StepWorld.Request(steps=1))
    end = robot.call(StepWorld, "mujoco_robot/step", StepWorld.Request(steps=25))
    assert end.success
    assert to_ns(end.stamp) - to_ns(begin.stamp) == 250_000_000
    robot.until(lambda: to_ns(robot.joints.header.stamp) == to_ns(end.stamp), "the joints of the last step")
    assert "steps is 0; give 1 to 1000" in robot.call(StepWorld, "mujoco_robot/step", StepWorld.Request(steps=0)).message
    assert robot.call(SetBool, "mujoco_robot/set_pause", SetBool.Request(data=False)).success
    robot.until(lambda: to_ns(robot.joints.header.stamp) > to_ns(end.stamp), "the clock to advance")


def test_it_can_be_deactivated_and_cleaned_up(robot, nodes):
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert robot.call(ChangeState, "mujoco_robot/change_state", ChangeState.Request(transition=Transition(id=transition))).success
    assert robot.call(GetState, "mujoco_robot/get_state", GetState.Request()).current_state.label == "unconfigured"
    assert nodes.end("mujoco_robot") == 0
    assert "Traceback" not in nodes.log("mujoco_robot")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"task": "FlyToMoon"}, "FlyToMoon"),
        ({"camera": "tail"}, "no camera 'tail'"),
        ({"real_time_factor": -1.0}, "real_time_factor"),
        ({"seed": "many"}, "seed"),
    ],
)
def test_a_wrong_parameter_ends_the_start_with_the_reason(nodes, parameters, words):
    process = nodes.start("mujoco_robot", autostart=True, **parameters)
    assert process.wait(timeout=START_S) == 1
    assert words in nodes.log("mujoco_robot")


@pytest.mark.parametrize("name", ["system1", "system2"])
def test_a_robot_that_the_checkpoint_was_not_made_for_ends_the_start_with_the_reason(nodes, checkpoint, tmp_path, name):
    faster = tmp_path / "faster.yaml"
    faster.write_text(config_path("embodiments", "gr1").read_text().replace("rate_hz: 20.0", "rate_hz: 30.0"))
    process = nodes.start(name, autostart=True, checkpoint=checkpoint, embodiment=faster)
    assert process.wait(timeout=START_S) == 1
    assert "rate_hz: the checkpoint was made for 20.0, offered is 30.0" in nodes.log(name)
    assert "Traceback" not in nodes.log(name)
    assert "AttributeError" not in nodes.log(name)


def test_a_foresight_timeout_beyond_the_horizon_ends_the_start_with_both_values(nodes, checkpoint):
    process = nodes.start("system1", autostart=True, checkpoint=checkpoint, foresight_timeout=2.5)
    assert process.wait(timeout=START_S) == 1
    assert "foresight_timeout is 2.5 s, but this checkpoint predicts only 0.8 s ahead" in nodes.log("system1")


def test_a_checkpoint_that_is_not_there_ends_the_start_with_the_reason(nodes, tmp_path):
    process = nodes.start("system2", autostart=True, checkpoint=tmp_path / "nowhere")
    assert process.wait(timeout=START_S) == 1
    assert "nowhere" in nodes.log("system2")
