"""The guard between a commander and the simulated robot's controllers: good trajectories pass, each bad one stops the robot."""

import signal
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, JointMotion, to_ns
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node import qos
from dial_ros.node.trajectory import motion_to_message

from .conftest import START_S, moving

pytestmark = pytest.mark.ros

ARM = next(c for c in load_embodiment("gr1").controllers if c.name == "right_arm_controller")
LEAD_S = 0.5  # from the last joint states to the first point: time for a busy machine to deliver it (`max_lead` is 0.6)
TOPIC = f"guarded/{ARM.name}/joint_trajectory"


class TrajectorySender:
    """Stands for System-1: sends trajectories of the right arm through the guard."""

    def __init__(self, probe):
        self.probe, self.report, self._ends_ns = probe, None, 0
        self._out = probe.create_publisher(JointTrajectory, TOPIC, qos.LATEST)
        probe.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENTS)

    def _on_diagnostics(self, message):
        self.report = next((status for status in message.status if status.name == "/guard"), self.report)

    def values(self):
        return {value.key: value.value for value in self.report.values}

    def send(self, delta, over_s=1.0, stamp_offset_s=0.0):
        """Sends a motion of all joints of the arm by `delta` [rad] from where they are measured, to rest; returns its stamp [ns]."""
        place = dict(zip(self.probe.joints.name, self.probe.joints.position, strict=True))
        start = np.array([place[name] for name in ARM.joints])
        stamp_ns = to_ns(self.probe.joints.header.stamp)
        middle = np.full(len(start), 1.5 * delta / over_s)
        motion = JointMotion(
            stamp_ns + round(stamp_offset_s * NANOSECONDS),
            LEAD_S + over_s * np.array([0.0, 0.5, 1.0]) - stamp_offset_s,
            np.stack([start, start + delta / 2, start + delta]),
            np.stack([0 * middle, middle, 0 * middle]),
        )
        self._ends_ns = motion.end_ns
        self._out.publish(motion_to_message(motion, ARM.joints))
        return motion.origin_ns

    def pass_one(self, delta, tries=5):
        """Sends a motion as `send` does until the guard has passed one, and returns that: a busy machine may make one late."""
        late, sent_ns = self._late(), self.send(delta)
        self.probe.until(lambda: self._passed(sent_ns) or self._late() > late, "a trajectory passes, or was late")
        if passed := self._passed(sent_ns):
            self.probe.until(lambda: self.report.level != DiagnosticStatus.ERROR, "the guard reports that it passes")
            return passed[0]
        assert tries > 1, self.report.message
        self.until_rest()
        return self.pass_one(delta, tries - 1)

    def _late(self):
        return int(self.values()["refused/late"])

    def _passed(self, sent_ns):
        return [message for message in self.probe.trajectories if to_ns(message.header.stamp) == sent_ns]

    def until_stopped(self, check):
        self.probe.until(lambda: self.report and self.report.level == DiagnosticStatus.ERROR, "the guard reports a stop")
        assert self.values()["check"] == check
        assert ARM.name in self.report.message

    def until_rest(self):
        """Until what was sent last has ended, and the robot rests."""
        ended_ns = min(self._ends_ns, to_ns(self.probe.joints.header.stamp) + 3 * NANOSECONDS)  # one of the stamps is hours ahead
        self.probe.until(lambda: to_ns(self.probe.joints.header.stamp) > ended_ns and not moving(self.probe.joints), "the robot rests")


@pytest.fixture(scope="module")
def commander(nodes, probe):
    nodes.start("mujoco_robot", autostart=True)
    nodes.start("guard", autostart=True, use_sim_time=True)
    commander = TrajectorySender(probe)
    probe.until(lambda: probe.joints and commander.report and commander.report.message.startswith("passing"), "robot and guard up", START_S)
    start_ns = to_ns(probe.joints.header.stamp)
    probe.until(lambda: to_ns(probe.joints.header.stamp) > start_ns + NANOSECONDS, "a second of joint states")
    return commander


@pytest.fixture
def passing(commander):
    commander.probe.call(Trigger, "guard/reset", Trigger.Request())
    commander.until_rest()
    commander.probe.until(lambda: commander.report.level != DiagnosticStatus.ERROR, "the reset in the diagnostics")
    commander.probe.trajectories.clear()
    return commander


def test_a_good_trajectory_passes_unchanged_and_moves_the_robot(passing):
    before = dict(zip(passing.probe.joints.name, passing.probe.joints.position, strict=True))
    assert len(passing.pass_one(-0.1).points) == 3
    passing.probe.until(lambda: moving(passing.probe.joints), "the robot moves")
    passing.until_rest()
    after = dict(zip(passing.probe.joints.name, passing.probe.joints.position, strict=True))
    assert np.mean([after[name] - before[name] for name in ARM.joints]) == pytest.approx(-0.1, abs=0.03)


BAD = {
    "position": lambda commander: commander.send(-3.5, over_s=3.0),
    "velocity": lambda commander: commander.send(-0.9, over_s=0.42),
    "acceleration": lambda commander: commander.send(-0.3, over_s=0.21),
    "age": lambda commander: commander.send(0.1, stamp_offset_s=3600.0),
}


@pytest.mark.parametrize("check", BAD)
def test_a_bad_trajectory_is_not_passed_and_every_controller_is_sent_a_hold(passing, check):
    passing.pass_one(-0.05)
    passing.probe.trajectories.clear()
    BAD[check](passing)
    passing.until_stopped(check)
    passing.probe.until(lambda: passing.probe.trajectories, "a hold")
    hold = passing.probe.trajectories[-1].points[-1]
    assert np.abs(hold.velocities).max() < 1e-6
    passing.until_rest()


def test_after_a_wrong_trajectory_nothing_passes_until_the_reset(passing):
    BAD["velocity"](passing)
    passing.until_stopped("velocity")
    refused = int(passing.values()["refused/velocity"])
    passing.probe.trajectories.clear()
    passing.send(-0.05)
    passing.probe.until(lambda: int(passing.values()["refused/velocity"]) > refused, "the good one is refused")
    assert passing.probe.trajectories == []
    answer = passing.probe.call(Trigger, "guard/reset", Trigger.Request())
    assert answer.success
    assert "would reach" in answer.message
    passing.pass_one(-0.05)


def test_a_second_publisher_stops_the_robot_and_is_named(passing):
    passing.pass_one(-0.05)
    stranger = Node("stranger", context=passing.probe.context)
    try:
        stranger.create_publisher(JointTrajectory, TOPIC, qos.LATEST)
        passing.probe.until(lambda: passing.report.level == DiagnosticStatus.ERROR and passing.values()["check"] == "source", "a stop")
        assert "/stranger" in passing.report.message
    finally:
        stranger.destroy_node()
    passing.probe.until(lambda: "only one may" not in passing.values().get("conflict", ""), "the stranger is gone")

    def passes():
        passing.probe.spin_once()
        if not passing.probe.trajectories:
            passing.send(0.0)
        return passing.probe.trajectories and passing.report.level != DiagnosticStatus.ERROR

    passing.until_rest()
    passing.probe.trajectories.clear()
    passing.probe.until(passes, "it passes again by itself")


def test_a_guard_that_ends_while_the_robot_moves_sends_a_hold(passing, nodes):
    passing.pass_one(-0.3)
    passing.probe.until(lambda: moving(passing.probe.joints), "the robot moves")
    passing.probe.trajectories.clear()
    started_s = time.monotonic()
    assert nodes.end("guard", signal.SIGINT) == 0
    assert time.monotonic() - started_s < 5.0
    passing.probe.until(lambda: passing.probe.trajectories, "a hold")
