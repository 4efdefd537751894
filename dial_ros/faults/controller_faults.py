"""Controllers that do not play what System-1 sent, and then accept again; trajectories that arrive late."""

from collections.abc import Callable
from dataclasses import dataclass

from dial_ros.faults.checks import check_recovery, check_report
from dial_ros.faults.corruptions import Corruption, delayed, dropped, ending_in_motion
from dial_ros.faults.graph_under_test import EMBODIMENT, GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status

ARM = "right_arm_controller"
ALL = tuple(controller.name for controller in EMBODIMENT.controllers)
PATIENCE_S = 1.0  # of System-1 with a controller that executes nothing
REPORT_LIMIT_S = 2.5  # patience, the pending chunk, and a busy machine
AFTERWARDS_S = 1.5  # the first motions that are accepted again are judged too
LATE_S = 3.0


@dataclass(frozen=True)
class LostTrajectories:
    """Controllers do not receive, or reject, what is sent to them for a while.

    Fields:
        duration_s: beyond PATIENCE_S System-1 must hold and name the controllers; below it continues.
        rejections: the controllers reject.
    """

    name: str
    corruption: Callable[[], Corruption]
    controllers: tuple[str, ...]
    duration_s: float
    rejections: bool = False
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Corrupts the trajectories, checks what System-1 reports, ends the fault and instructs if that is needed."""
        outcome.expects_rejections = self.rejections
        begin_ns = graph.monitor.now_ns
        for name in self.controllers:
            graph.injector.relays[name].corrupt(self.corruption())
        last(graph, outcome, begin_ns, self.duration_s, self.controllers)
        if self.rejections:
            outcome.check("the controllers reject", bool(graph.monitor.rejected))
        resume(graph, outcome)


@dataclass(frozen=True)
class InactiveController:
    """A controller is deactivated during a motion and activated `duration_s` later, at once if 0 (restarted)."""

    name: str
    duration_s: float
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Deactivates, checks what System-1 reports, activates, and instructs if that is needed."""
        begin_ns = graph.monitor.now_ns
        graph.set_controller_active(ARM, False)
        last(graph, outcome, begin_ns, self.duration_s, (ARM,))
        graph.set_controller_active(ARM, True)
        resume(graph, outcome)


@dataclass(frozen=True)
class LateTrajectories:
    """Every trajectory arrives later by `delay_s`: from the robot's rest on, or suddenly during a motion."""

    delay_s: float
    in_motion: bool
    quick: bool = True

    @property
    def name(self) -> str:
        """The row's name."""
        return f"trajectories {1000 * self.delay_s:.0f} ms later, {'suddenly' if self.in_motion else 'from rest on'}"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Delays all controllers for LATE_S; System-1 must adapt its lead, and may come to rest."""
        if not self.in_motion:
            graph.pause(True)
            graph.until_resting()
        for relay in graph.injector.relays.values():
            relay.corrupt(delayed(self.delay_s))
        if not self.in_motion:
            graph.pause(False)
        graph.during(LATE_S)
        measured_s = graph.system1.trajectory_latency
        outcome.check("measures the latency", measured_s >= 0.9 * self.delay_s, f"{measured_s:.3f} s")
        outcome.check("keeps a longer lead", graph.system1.splice_lead > self.delay_s, f"{graph.system1.splice_lead:.3f} s")
        graph.injector.recover()
        check_recovery(graph, outcome, graph.monitor.now_ns)


def last(graph: GraphUnderTest, outcome: Outcome, begin_ns: int, duration_s: float, controllers: tuple[str, ...]) -> None:
    """Lets a fault of controllers last; beyond PATIENCE_S System-1 must disarm, name them, and come to rest."""
    if duration_s > PATIENCE_S:
        check_report(graph, outcome, begin_ns, System1Status.STATE_DISARMED, REPORT_LIMIT_S, *controllers)
        graph.until_resting()
    else:
        graph.during(duration_s)


def resume(graph: GraphUnderTest, outcome: Outcome) -> None:
    """Ends the fault; the robot follows chunks again, after a new instruction where System-1 has disarmed."""
    graph.injector.recover()
    if graph.in_state(System1Status.STATE_DISARMED):
        graph.run_freely()
    check_recovery(graph, outcome, graph.monitor.now_ns)
    graph.during(AFTERWARDS_S)


CONTROLLER_FAULTS: tuple[LostTrajectories | InactiveController | LateTrajectories, ...] = (
    LostTrajectories("one controller partitioned for 0.4 s", dropped, (ARM,), 0.4),
    LostTrajectories("one controller partitioned for 2 s", dropped, (ARM,), 2.0),
    LostTrajectories("all controllers partitioned for 2 s", dropped, ALL, 2.0),
    LostTrajectories("one controller rejects for 0.4 s", ending_in_motion, (ARM,), 0.4, rejections=True),
    LostTrajectories("one controller rejects for 2 s", ending_in_motion, (ARM,), 2.0, rejections=True),
    InactiveController("one controller restarted", 0.0),
    InactiveController("one controller inactive for 0.4 s", 0.4),
    InactiveController("one controller inactive for 2 s", 2.0),
    *(LateTrajectories(delay_ms / 1000, False) for delay_ms in (35, 40, 45, 50)),
    *(LateTrajectories(delay_ms / 1000, True) for delay_ms in (35, 50)),
)
