"""The guard beside the controllers: trajectories that reach it late, and a second commander's step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from dial_ros.faults.checks import REST_LIMIT_S, check_recovery, rest_after_s
from dial_ros.faults.controller_faults import AFTERWARDS_S, ARM, LATE_S, PATIENCE_S
from dial_ros.faults.corruptions import delayed
from dial_ros.faults.foreign_trajectories import rest_to_rest
from dial_ros.faults.graph_under_test import GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status
from dial_ros.node import qos
from dial_ros.tools.client import NotInTimeError

STEP_RAD, STEP_S = 0.3, 0.01
NOTICED_S = PATIENCE_S + 0.5  # within which System-1 has disarmed if the guard stopped it
PASSES_LIMIT_S = 5.0  # of wall time: the guard reports every second


class GuardReports:
    """What the guard reports in /diagnostics: `passed` trajectories so far, and `state`. None and empty until it does."""

    def __init__(self) -> None:
        self.passed: int | None = None
        self.state = ""

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        """Takes the guard's part of a message."""
        for status in message.status:
            if status.name == "/guard":
                values = {value.key: value.value for value in status.values}
                self.passed, self.state = int(values["passed"]), values["state"]


@contextmanager
def guard_reports(graph: GraphUnderTest) -> Iterator[GuardReports]:
    """What the guard reports from now on."""
    reports = GuardReports()
    subscription = graph.node.create_subscription(DiagnosticArray, "/diagnostics", reports.on_diagnostics, qos.EVENTS)
    try:
        yield reports
    finally:
        graph.node.destroy_subscription(subscription)


@dataclass(frozen=True)
class LateBeforeGuard:
    """As LateTrajectories during a motion, with the guard beside the controllers: it stops what is too late."""

    delay_s: float
    quick: bool = True

    @property
    def name(self) -> str:
        """The row's name."""
        return f"trajectories {1000 * self.delay_s:.0f} ms later, suddenly, with guard"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Delays all controllers for LATE_S, then lets System-1 resume, after a new instruction where it has disarmed."""
        with guard_reports(graph) as reports:
            check_passes(graph, outcome, reports, "before the fault")
            for relay in graph.injector.relays.values():
                relay.corrupt(delayed(self.delay_s))
            graph.during(LATE_S)
            resume_behind_guard(graph, outcome, reports)


@dataclass(frozen=True)
class StepBeforeGuard:
    """Another node commands a step of the arm to the guard, while System-1 moves the robot."""

    name: str = "another node publishes a step, with guard"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Publishes the step, checks that the arm does not follow it, removes the node, instructs if that is needed."""
        with guard_reports(graph) as reports:
            check_passes(graph, outcome, reports, "before the fault")
            self._step(graph, outcome)
            resume_behind_guard(graph, outcome, reports)

    def _step(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        node = Node("second_commander")
        publisher = node.create_publisher(JointTrajectory, f"guarded/{ARM}/joint_trajectory", qos.LATEST)
        try:
            graph.until(lambda: publisher.get_subscription_count(), "the guard to subscribe")
            publisher.publish(rest_to_rest(graph.monitor.set_points, STEP_RAD, STEP_S))
            begin_ns = graph.monitor.now_ns
            outcome.resting_after_s = rest_after_s(graph, begin_ns)
            outcome.check_time("the guard stops the robot", outcome.resting_after_s, REST_LIMIT_S)
        finally:
            node.destroy_node()


def resume_behind_guard(graph: GraphUnderTest, outcome: Outcome, reports: GuardReports) -> None:
    """Ends the fault; the guard passes trajectories again, after a new instruction where System-1 has disarmed.

    System-1 notices that the guard has stopped it by what controllers report, up to PATIENCE_S later. Chunks alone would show
    nothing: System-1 makes them for a guard that refuses every one.
    """
    graph.injector.recover()
    graph.during(NOTICED_S)
    if graph.in_state(System1Status.STATE_DISARMED):
        graph.run_freely()
    check_recovery(graph, outcome, graph.monitor.now_ns)
    check_passes(graph, outcome, reports, "afterwards")
    graph.during(AFTERWARDS_S)


def check_passes(graph: GraphUnderTest, outcome: Outcome, reports: GuardReports, when: str) -> None:
    """Checks that the guard is not stopped and passes trajectories."""
    reports.passed, before = None, 0

    def reported() -> bool:
        return reports.passed is not None

    def passes() -> bool:
        return reports.state == "passing" and (reports.passed or 0) > before

    try:
        graph.until(reported, "the guard to report", PASSES_LIMIT_S)
        before = reports.passed or 0
        graph.until(passes, "the guard to pass trajectories", PASSES_LIMIT_S)
        outcome.check(f"the guard passes trajectories {when}", True)
    except NotInTimeError:
        outcome.check(f"the guard passes trajectories {when}", False, f"{reports.state}, {reports.passed} passed")


GUARD_FAULTS: tuple[LateBeforeGuard | StepBeforeGuard, ...] = (LateBeforeGuard(0.05), LateBeforeGuard(0.1), StepBeforeGuard())
