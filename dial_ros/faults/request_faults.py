"""Instructions and parameter values that must be refused, and unusual ones that must not."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from dial_ros.faults.checks import check_recovery
from dial_ros.faults.graph_under_test import RUNNING, GraphUnderTest, normal_priority
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.stream_faults import FAULT_S


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
    """A node started with a value that must be refused: the process ends with status 1 and names the parameter."""

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
        line = [
            sys.executable,
            "-m",
            f"dial_ros.{self.node}.{self.node}_node",
            "--ros-args",
            "-r",
            "__node:=misconfigured",
            "-r",
            "__ns:=/misconfigured",
        ]
        line += ["-p", f"{self.parameter}:={self.value}"]
        with tempfile.TemporaryFile("w+") as log:
            with normal_priority():
                process = subprocess.Popen(line, env=dict(os.environ), stdout=log, stderr=subprocess.STDOUT)
            try:
                graph.until(lambda: process.poll() is not None, "the node to end", 60)
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            text = log.read()
        outcome.check("ends with status 1", process.returncode == 1, str(process.returncode))
        outcome.check("names the parameter", self.parameter in text, text.strip()[-160:])
        outcome.check("System-1 beside it continues", all(s.state == RUNNING for s in graph.monitor.statuses))


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
