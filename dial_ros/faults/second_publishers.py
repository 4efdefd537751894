"""Second commanders, second systems and joint states that disagree."""

from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dial_ros.faults.checks import check_recovery, check_report
from dial_ros.faults.controller_faults import ARM
from dial_ros.faults.corruptions import Corruption
from dial_ros.faults.fault_injector import PREFIX
from dial_ros.faults.foreign_trajectories import rest_to_rest
from dial_ros.faults.graph_under_test import RUNNING, GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status
from dial_ros.node import qos

HOLDING = System1Status.STATE_HOLDING
START_LIMIT_S = 180.0  # of wall time, for a process to import torch
REPORT_LIMIT_S = 1.5  # discovery of the second publisher included
OTHER_MOTION_RAD, OTHER_MOTION_S = 0.1, 1.5


@dataclass(frozen=True)
class SecondSystem:
    """A second process of System-1 or System-2 is started beside the first."""

    node: str
    quick: bool = False

    @property
    def name(self) -> str:
        """The row's name."""
        return f"two nodes {self.node}"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Starts it; the robot must hold, the second must give up, and the first resume."""
        with graph.another(graph.specs[self.node]) as second:
            # While it imports torch, a busy machine may starve System-1 of images: that hold has another cause.
            graph.until(lambda: graph.reports(HOLDING, f"/{self.node}"), f"System-1 to hold because of two {self.node}", START_LIMIT_S)
            chunks = graph.system1.published_chunks
            graph.until_resting()
            process = second.process(self.node)
            graph.until(lambda: process.poll() is not None, "the second process to give up", START_LIMIT_S)
            outcome.check("the second ends with status 1", process.returncode == 1, str(process.returncode))
            held = {status.published_chunks for status in graph.monitor.statuses if f"/{self.node}" in status.reason}
            outcome.check("publishes no chunk meanwhile", held == {chunks}, f"{len(held) - 1}")
        graph.until(lambda: graph.in_state(RUNNING), "System-1 to run again", 30)
        check_recovery(graph, outcome, graph.monitor.now_ns)


@dataclass(frozen=True)
class SecondCommander:
    """Another node publishes on a trajectory topic and moves the arm while System-1 holds."""

    name: str = "another node publishes trajectories"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Adds the publisher, lets it move the arm, removes it; System-1 continues from where the arm is."""
        node, begin_ns = Node("second_commander"), graph.monitor.now_ns
        publisher = node.create_publisher(JointTrajectory, f"{ARM}/joint_trajectory", qos.LATEST)
        try:
            check_report(graph, outcome, begin_ns, HOLDING, REPORT_LIMIT_S, "/second_commander")
            graph.until_resting()
            before, chunks = graph.monitor.set_points, graph.system1.published_chunks
            publisher.publish(rest_to_rest(before, OTHER_MOTION_RAD, OTHER_MOTION_S))
            graph.during(OTHER_MOTION_S + 0.3)
            moved_rad = float(np.abs(graph.monitor.set_points - before).max())
            outcome.check("the other node moves the arm", moved_rad > OTHER_MOTION_RAD / 2, f"{moved_rad:.3f} rad")
            outcome.check("System-1 publishes no chunk meanwhile", graph.system1.published_chunks == chunks)
        finally:
            node.destroy_node()
        graph.run_freely()
        check_recovery(graph, outcome, graph.monitor.now_ns)


@dataclass(frozen=True)
class DisagreeingJointStates:
    """A second driver publishes joint states that are 0.3 rad off."""

    name: str = "two nodes publish joint states that disagree"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Publishes beside the robot, checks that System-1 holds and names the nodes, stops publishing."""
        node, begin_ns = Node("second_driver"), graph.monitor.now_ns
        publisher = node.create_publisher(JointState, f"{PREFIX}/joint_states", qos.SENSOR)

        def both() -> Corruption:
            def corrupt(message: JointState) -> list[tuple[float, JointState]]:
                other = JointState(header=message.header, name=message.name, position=[p + 0.3 for p in message.position])
                publisher.publish(other)
                return [(0.0, message)]

            return corrupt

        graph.injector.relays["joints"].corrupt(both())
        try:
            check_report(graph, outcome, begin_ns, HOLDING, REPORT_LIMIT_S, "second_driver")
            graph.until_resting()
        finally:
            graph.injector.recover()
            node.destroy_node()
        graph.until(lambda: graph.in_state(RUNNING), "System-1 to run again", 30)
        check_recovery(graph, outcome, graph.monitor.now_ns)


SECOND_PUBLISHERS: tuple[SecondSystem | SecondCommander | DisagreeingJointStates, ...] = (
    SecondCommander(),
    DisagreeingJointStates(),
    SecondSystem("system1"),
    SecondSystem("system2"),
)
