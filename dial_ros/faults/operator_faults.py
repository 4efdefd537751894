"""Sequences of an operator after which nothing may move: activation after an old instruction, instructions while stopped or paused."""

from dataclasses import dataclass

from lifecycle_msgs.msg import Transition

from dial_ros.faults.checks import check_recovery, check_stays
from dial_ros.faults.graph_under_test import GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status

DISARMED, PAUSED, STOPPED = System1Status.STATE_DISARMED, System1Status.STATE_PAUSED, System1Status.STATE_STOPPED
WATCHED_S = 1.5


@dataclass(frozen=True)
class OldInstruction:
    """System-1 is deactivated and activated; the instruction is from before, or was given in between."""

    name: str
    instructed_inactive: bool
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Deactivates, activates, and checks that nothing moves before a new instruction."""
        graph.change_system1(Transition.TRANSITION_DEACTIVATE)
        graph.until_resting()
        if self.instructed_inactive:
            graph.instruct()
            graph.during(0.3)
        graph.change_system1(Transition.TRANSITION_ACTIVATE)
        graph.until(lambda: graph.in_state(DISARMED), "System-1 to report itself disarmed")
        check_stays(graph, outcome, WATCHED_S)
        graph.run_freely()
        check_recovery(graph, outcome, graph.monitor.now_ns)


@dataclass(frozen=True)
class InstructedStopped:
    """An instruction arrives while System-1 is stopped."""

    name: str = "instruction during an emergency stop"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Stops, instructs, resets the stop; nothing may move before another instruction."""
        graph.estop()
        graph.until_resting()
        graph.instruct()
        graph.until(lambda: "will not move" in graph.system1.warning, "a warning that nothing will move")
        graph.reset_estop()
        graph.until(lambda: graph.in_state(DISARMED), "System-1 to report itself disarmed")
        check_stays(graph, outcome, WATCHED_S)
        graph.run_freely()
        check_recovery(graph, outcome, graph.monitor.now_ns)


@dataclass(frozen=True)
class InstructedPaused:
    """An instruction arrives while System-1 is paused."""

    name: str = "instruction during a pause"
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Pauses, instructs, ends the pause; only then the robot may move."""
        graph.pause(True)
        graph.until_resting()
        instruction_id = graph.instruct().instruction_id
        graph.until(lambda: "only after the pause" in graph.system1.warning, "a warning that nothing will move")
        check_stays(graph, outcome, WATCHED_S)
        graph.pause(False)
        graph.until_chunks(2)
        outcome.check("works on the new instruction", graph.system1.instruction_id == instruction_id)
        check_recovery(graph, outcome, graph.monitor.now_ns)


OPERATOR_FAULTS: tuple[OldInstruction | InstructedStopped | InstructedPaused, ...] = (
    OldInstruction("activation after an old instruction", False),
    OldInstruction("activation after an instruction while inactive", True),
    InstructedStopped(),
    InstructedPaused(),
)
