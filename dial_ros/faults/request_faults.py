"""Instructions and parameter values that must be refused, and unusual ones that must not."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from dial_ros.faults.checks import check_recovery
from dial_ros.faults.graph_under_test import RUNNING, GraphUnderTest
from dial_ros.faults.hold_causes import unaccounted
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.priority_and_memory import normal_priority
from dial_ros.faults.stream_faults import FAULT_S
from dial_ros.tools.client import NotInTimeError


@dataclass(frozen=True)
class BadInstruction:
    """A text that must be refused with a reason, while the current task continues."""

    name: str
    text: str
    contains: str  # the reason of the refusal
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Sends it, and checks that the robot continues."""
        current = graph.system1.instruction_id
        answer = graph.instruct(self.text)
        outcome.check(
            f"refused, with '{self.contains}' in the reason", not answer.success and self.contains in answer.message, answer.message
        )
        graph.during(FAULT_S)
        same = all(s.instruction_id == current and s.state == RUNNING for s in graph.monitor.statuses)
        outcome.check("the current task continues", same)


@dataclass(frozen=True)
class UnusualInstruction:
    """A text that must be accepted and arrive unchanged."""

    name: str
    text: str
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Sends it, and waits until System-1 works on it."""
        begin_ns = graph.monitor.now_ns
        answer = graph.instruct(self.text)
        outcome.check("accepted", answer.success, answer.message)
        graph.until(lambda: graph.system1.instruction_id == answer.instruction_id, "System-1 to have the instruction")
        check_recovery(graph, outcome, begin_ns)
        outcome.check("unchanged", graph.system1.instruction == self.text, repr(graph.system1.instruction))


@dataclass(frozen=True)
class ManyInstructions:
    """More requests than a person can make: the last one counts."""

    name: str = "instruction 50 a second"
    rate_hz: float = 50.0
    duration_s: float = 3.0
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Sends them, then waits until System-1 works on the last one."""
        last_id = graph.instruct_many(self.rate_hz, self.duration_s)
        begin_ns = graph.monitor.now_ns
        graph.until(lambda: graph.system1.instruction_id == last_id, "the last instruction to arrive")
        check_recovery(graph, outcome, begin_ns)
        outcome.check("works on the last one", graph.system1.instruction_id == last_id)


@dataclass(frozen=True)
class BadParameter:
    """A node started with a value that must be refused: the process ends with status 1 and names the parameter.

    System-1 beside it must continue, and where the machine cannot feed both it may hold for inputs that really are late (`hold_causes`),
    and must run again afterwards.
    """

    node: str
    parameter: str
    value: str
    quick: bool = False

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.node} {self.parameter} = {self.value}"

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Starts another node of that kind, in a namespace of its own."""
        with tempfile.TemporaryFile("w+") as log, graph.noted_wait("system1") as wait:
            with normal_priority():
                process = subprocess.Popen(self._command_line(), env=dict(os.environ), stdout=log, stderr=subprocess.STDOUT)
            try:
                graph.until(lambda: process.poll() is not None, "the node to end", 60)
            except NotInTimeError:
                process.send_signal(signal.SIGABRT)  # writes where it stands to its log
                process.wait()
                outcome.check("ends", False, _end_of(log, 1500))
                raise
            finally:
                process.kill()
                process.wait()
            check_recovery(graph, outcome, graph.monitor.now_ns)
            outcome.check("ends with status 1", process.returncode == 1, str(process.returncode))
            outcome.check("names the parameter", self.parameter in _end_of(log), _end_of(log, 160))
        outcome.held_for = sorted({status.reason for status in graph.monitor.statuses if status.state != RUNNING})
        without_cause = unaccounted(graph.monitor.statuses, graph.injector.relays, wait)
        outcome.check("System-1 beside it continues", not without_cause, "; ".join(without_cause))

    def _command_line(self) -> list[str]:
        names = ["-r", "__node:=misconfigured", "-r", "__ns:=/misconfigured"]
        module = f"dial_ros.{self.node}.{self.node}_node"
        return [sys.executable, "-X", "faulthandler", "-m", module, "--ros-args", *names, "-p", f"{self.parameter}:={self.value}"]


def _end_of(log: IO[str], characters: int = 0) -> str:
    """The last characters of what was written; 0: all."""
    log.seek(0)
    return log.read().strip()[-characters:]


REQUESTS: tuple[BadInstruction | UnusualInstruction | ManyInstructions | BadParameter, ...] = (
    BadInstruction("instruction empty", "", "empty"),
    BadInstruction("instruction of blanks", " \t\n ", "empty"),
    BadInstruction("instruction of 100 kB", "pick the can " * 8000, "at most"),
    UnusualInstruction("instruction in Unicode", "把罐子放到盘子上 🤖 naïve \u202ereversed"),
    ManyInstructions(),
    BadParameter("system1", "chunk_rate_hz", "1000.0", quick=True),
    BadParameter("system1", "chunk_rate_hz", ".nan"),
    BadParameter("system1", "flow_steps", "0"),
    BadParameter("system1", "velocity_share", "1.5"),
    BadParameter("system1", "camera_timeout", "'soon'"),
    BadParameter("system2", "rate_hz", "-1.0"),
    BadParameter("system2", "max_instruction_length", "0"),
    BadParameter("mujoco_robot", "real_time_factor", "-1.0"),
)
