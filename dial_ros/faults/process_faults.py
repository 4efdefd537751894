"""Processes that end, by request or by force, and a simulation that is reset."""

import signal
import time
from dataclasses import dataclass

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults.checks import HORIZON_S, REPORT_LIMIT_S, REST_LIMIT_S, check_recovery, reported_after_s, rest_after_s
from dial_ros.faults.graph_under_test import GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status

EXIT_LIMIT_S = 10.0
CLOCK_TIMEOUT_S = 3.0  # System-1's default


@dataclass(frozen=True)
class EndedProcess:
    """A node receives a signal during a motion, and is restarted."""

    node: str
    number: signal.Signals
    quick: bool = False

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.node} {self.number.name}"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Ends the node, checks what the others do, restarts it."""
        begin_ns, before = graph.monitor.now_ns, graph.system1
        status = graph.end_node(self.node, self.number, EXIT_LIMIT_S)
        wanted = -self.number if self.number == signal.SIGKILL else 0
        outcome.check(f"exit status {int(wanted)}", status == wanted, str(status))
        if self.node == "mujoco_robot":
            self._check_missing_clock(graph, outcome)
        else:
            self._check_rest(graph, outcome, begin_ns, before)
        graph.restart_node(self.node)
        # A restarted node does not resume by itself: it needs a new instruction.
        graph.run_freely()
        check_recovery(graph, outcome, graph.monitor.now_ns)

    def _check_missing_clock(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """With the robot its clock is gone: System-1 must notice that by the steady clock."""
        began_s = time.monotonic()
        clock_stands = "clock"
        graph.until(lambda: graph.in_state(System1Status.STATE_HOLDING) and clock_stands in graph.system1.reason, "a hold", 15)
        waited_s = time.monotonic() - began_s
        outcome.check_time("holds without a clock (wall time)", waited_s, CLOCK_TIMEOUT_S + REPORT_LIMIT_S)

    def _check_rest(self, graph: GraphUnderTest, outcome: Outcome, begin_ns: int, before: System1Status) -> None:
        """Without System-1 the last motion must end at rest; without System-2 System-1 must hold and report why."""
        outcome.resting_after_s = rest_after_s(graph, begin_ns, still_s=0.5)
        outcome.check_time("rests", outcome.resting_after_s, REST_LIMIT_S)
        if self.node == "system2":
            graph.until(lambda: graph.in_state(System1Status.STATE_HOLDING), "System-1 to hold")
            outcome.stopping_after_s = (to_ns(graph.system1.last_change) - begin_ns) / NANOSECONDS
            outcome.check_time("decelerates", outcome.stopping_after_s, HORIZON_S + 0.1)  # a foresight may be in transit
            outcome.reported_after_s = reported_after_s(graph.monitor.statuses, before, "text:foresight", begin_ns)
            outcome.check_time("reports text:foresight", outcome.reported_after_s, REPORT_LIMIT_S)


@dataclass(frozen=True)
class SimulationResets:
    """The simulation is reset repeatedly while the robot moves."""

    count: int
    quick: bool

    @property
    def name(self) -> str:
        """The row's name."""
        return f"simulation reset, {self.count} times"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Resets, waits for System-1 to disarm, checks that nothing is published, sends a new instruction."""
        reported_s = []
        for seed in range(self.count):
            graph.reset(100_000 + seed)
            graph.until(lambda: graph.in_state(System1Status.STATE_DISARMED), "System-1 to disarm")
            reported_s.append(to_ns(graph.system1.last_change) / NANOSECONDS)  # the clock restarted at zero
            chunks = graph.system1.published_chunks
            graph.during(0.5)
            outcome.check("publishes nothing disarmed", graph.system1.published_chunks == chunks)
            graph.run_freely()
        outcome.reported_after_s = max(reported_s)
        outcome.check_time("reports that the clock went back, at the slowest", outcome.reported_after_s, REPORT_LIMIT_S)


_QUICK = {("system1", signal.SIGKILL), ("system2", signal.SIGKILL)}
PROCESS_FAULTS: tuple[EndedProcess | SimulationResets, ...] = (
    SimulationResets(3, quick=True),
    SimulationResets(10, quick=False),
    *(
        EndedProcess(node, number, quick=(node, number) in _QUICK)
        for node in ("system1", "system2", "mujoco_robot")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    ),
)
