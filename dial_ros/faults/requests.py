"""Instructions that no operator should send, and parameters that no integrator should set."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from dial_ros.faults.outcome import Outcome
from dial_ros.faults.stage import GraphUnderTest
from dial_ros.faults.stream_faults import FAULT_S, watch_recovery
from dial_ros.msg import System1Status

RUNNING = System1Status.STATE_RUNNING


@dataclass(frozen=True)
class BadInstruction:
    """A text that must be refused with a reason, while the task before goes on."""

    name: str
    text: str
    says: str  # in the refusal
    quick: bool = True

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Sends it, and watches the robot work on."""
        current = stage.system1.instruction_id
        answer = stage.instruct(self.text)
        outcome.check(f"refused, with '{self.says}' in the reason", not answer.success and self.says in answer.message, answer.message)
        stage.during(FAULT_S)
        same = all(s.instruction_id == current and s.state == RUNNING for s in stage.witness.statuses)
        outcome.check("the task before goes on", same)


@dataclass(frozen=True)
class StrangeInstruction:
    """A text that must be taken and come through unchanged."""

    name: str
    text: str
    quick: bool = True

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Sends it, and waits until System-1 serves it."""
        begin_ns = stage.witness.now_ns
        answer = stage.instruct(self.text)
        outcome.check("accepted", answer.success, answer.message)
        stage.until(lambda: stage.system1.instruction_id == answer.instruction_id, "System-1 to have the instruction")
        watch_recovery(stage, outcome, begin_ns)
        outcome.check("unchanged", stage.system1.instruction == self.text, repr(stage.system1.instruction))


@dataclass(frozen=True)
class ManyInstructions:
    """Far more requests than a person can make: the last one counts."""

    name: str = "instruction 50 a second"
    rate_hz: float = 50.0
    duration_s: float = 3.0
    quick: bool = True

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Floods, then waits until the last one is served."""
        last_id = stage.instruct_many(self.rate_hz, self.duration_s)
        begin_ns = stage.witness.now_ns
        stage.until(lambda: stage.system1.instruction_id == last_id, "the last instruction to arrive")
        watch_recovery(stage, outcome, begin_ns)
        outcome.check("serves the last one", stage.system1.instruction_id == last_id)


@dataclass(frozen=True)
class BadParameter:
    """A node started with a value that must be refused: the process ends with status 1 and names the parameter."""

    node: str
    parameter: str
    value: str
    quick: bool = False

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.node} {self.parameter} = {self.value}"

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Starts a second node of that kind, under another name so that nothing else hears it."""
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
            process = subprocess.Popen(line, env=dict(os.environ), stdout=log, stderr=subprocess.STDOUT)
            try:
                stage.until(lambda: process.poll() is not None, "the node to end", 60)
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            text = log.read()
        outcome.check("ends with status 1", process.returncode == 1, str(process.returncode))
        outcome.check("names the parameter", self.parameter in text, text.strip()[-160:])
        outcome.check("System-1 beside it works on", all(s.state == RUNNING for s in stage.witness.statuses))


REQUESTS: tuple[BadInstruction | StrangeInstruction | ManyInstructions | BadParameter, ...] = (
    BadInstruction("instruction empty", "", "empty"),
    BadInstruction("instruction of blanks", " \t\n ", "empty"),
    BadInstruction("instruction of 100 kB", "pick the can " * 8000, "at most"),
    StrangeInstruction("instruction in Unicode", "把罐子放到盘子上 🤖 naïve \u202ereversed"),
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
