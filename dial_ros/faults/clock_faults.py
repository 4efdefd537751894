"""Steps of the clock that System-1 receives while the robot's own clock runs on, and a second clock."""

from dataclasses import dataclass

from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from dial_core.control.motion import NANOSECONDS
from dial_ros.faults.checks import REPORT_LIMIT_S, REST_LIMIT_S, check_recovery, check_report, check_stays, rest_after_s
from dial_ros.faults.corruptions import shifted_clock
from dial_ros.faults.fault_injector import PREFIX
from dial_ros.faults.graph_under_test import SETTLED_S, GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status
from dial_ros.node import qos
from dial_ros.node.messages import to_time

WATCHED_S = 1.0
DISARMED, PAUSED, STOPPED = System1Status.STATE_DISARMED, System1Status.STATE_PAUSED, System1Status.STATE_STOPPED


@dataclass(frozen=True)
class ClockStep:
    """System-1's clock steps during a motion and steps back later.

    Fields:
        request: what the operator requests right after the step: estop, pause, or nothing.
    """

    seconds: float
    request: str = ""
    quick: bool = True

    @property
    def name(self) -> str:
        """The row's name."""
        return f"System-1's clock steps {self.seconds:+g} s{f', then {self.request}' if self.request else ''}"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Steps the clock, checks that the robot comes to rest and stays there, steps back, instructs."""
        room_ns = round((max(-self.seconds, 0.0) + SETTLED_S) * NANOSECONDS)
        graph.until(lambda: graph.monitor.newest_ns > room_ns, "room for a step back", 60)
        graph.until_chunks(1)
        graph.until(lambda: not graph.monitor.rests_for_s(), "a motion")  # not the rest before one that has been sent
        relay = graph.injector.relays["clock"]
        relay.corrupt(shifted_clock(self.seconds))
        graph.until(lambda: relay.first_corrupted_ns is not None, "a tick")
        begin_ns = relay.first_corrupted_ns or 0
        if self.request == "estop":
            graph.estop()
        elif self.request == "pause":
            graph.pause(True)
        expected = {"estop": STOPPED, "pause": PAUSED}.get(self.request, DISARMED)
        check_report(graph, outcome, begin_ns, expected, REPORT_LIMIT_S)
        outcome.resting_after_s = rest_after_s(graph, begin_ns)
        outcome.check_time("rests", outcome.resting_after_s, REST_LIMIT_S)
        self._check_stays(graph, outcome)
        relay.recover()
        graph.during(0.5)  # this is a step too, which voids an instruction that precedes its detection
        if self.request == "estop":
            graph.reset_estop()
        elif self.request == "pause":
            graph.pause(False)
        graph.run_freely()
        check_recovery(graph, outcome, graph.monitor.now_ns)

    def _check_stays(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """While the clocks are apart, not even a new instruction moves the robot, and System-1 reports why."""
        graph.instruct()
        check_stays(graph, outcome, WATCHED_S)
        if not self.request:
            outcome.check("reports clocks apart", "synchronise" in graph.system1.reason, graph.system1.reason)


@dataclass(frozen=True)
class SecondClock:
    """Another node publishes a clock that is 5 s ahead."""

    name: str = "two nodes publish /clock"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Publishes beside the clock, checks that the robot rests and the node is named, stops publishing."""
        node = Node("second_clock")
        publisher = node.create_publisher(Clock, f"{PREFIX}/clock", qos.SENSOR)
        begin_ns = graph.monitor.now_ns

        def publish() -> None:
            publisher.publish(Clock(clock=to_time(graph.monitor.now_ns + 5 * NANOSECONDS)))

        timer = graph.node.create_timer(0.02, publish)
        try:
            graph.until(lambda: not graph.in_state(System1Status.STATE_RUNNING), "System-1 to stop")
            outcome.resting_after_s = rest_after_s(graph, begin_ns)
            graph.instruct()
            check_stays(graph, outcome, WATCHED_S)
            report = f"{graph.system1.reason}; {graph.system1.warning}"
            outcome.check("names the node", "second_clock" in report, report)
        finally:
            graph.node.destroy_timer(timer)
            node.destroy_node()
        graph.during(1.0)  # until discovery and the clock have settled
        graph.run_freely()
        check_recovery(graph, outcome, graph.monitor.now_ns)


CLOCK_FAULTS: tuple[ClockStep | SecondClock, ...] = (
    *(ClockStep(seconds, request) for seconds in (10.0, 3600.0, -10.0) for request in ("", "estop", "pause")),
    SecondClock(),
)
