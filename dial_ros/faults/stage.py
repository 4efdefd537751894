"""The graph under test: its processes, the saboteur in the middle, the witness, and the operator's requests."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import NodeSpec, Value, graph
from dial_ros.bringup.runner import Runner
from dial_ros.faults.saboteur import PREFIX, Saboteur
from dial_ros.faults.witness import Witness
from dial_ros.msg import System1Status, System2Status
from dial_ros.srv import ResetWorld, SetInstruction
from dial_ros.tools.client import ClientNode, NotInTimeError, running

INSTRUCTION = "pick the can from the placemat and place it on the plate"
CAMERA = "ego"
START_LIMIT_S = 180.0  # of wall time; on a busy machine importing torch takes long
FROZEN_S = 0.2  # the saboteur's camera never repeats a picture unless it is told to
SETTLED_S = 3.0  # simulated time: room for observations stamped two seconds back


class Campaigner(ClientNode):
    """The campaign's own node."""

    witness: Witness | None = None

    def last_words(self) -> str:
        said = self.witness.system1 if self.witness else None
        return f"; System-1 reported last: {said.reason or f'state {said.state}' if said else 'nothing'}"


class GraphUnderTest:
    """Everything a scenario works with. One thread: whoever waits, spins."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.node = runner, Campaigner("fault_campaign")
        self.witness = self.node.witness = Witness(self.node, load_embodiment("gr1"))
        self.saboteur = Saboteur(self.node, CAMERA, lambda: self.witness.now_ns)

    @property
    def system1(self) -> System1Status:
        """System-1's newest report. Raises DialError if there is none."""
        if self.witness.system1 is None:
            raise DialError("System-1 has not reported yet")
        return self.witness.system1

    def until(self, condition: Callable[[], object], what: str, limit_s: float = 10.0) -> None:
        """Spins until `condition()` is true. Raises NotInTimeError after `limit_s` [s] of wall time."""
        self.node.wait_until(condition, limit_s, what)

    def during(self, seconds: float) -> None:
        """Spins through `seconds` [s] of the robot's time (of wall time ten times as long, if its clock stands)."""
        start_ns, end_s = self.witness.now_ns, time.monotonic() + 10 * seconds
        while time.monotonic() < end_s and 0 <= self.witness.now_ns - start_ns < seconds * NANOSECONDS:
            self.node.spin_once()

    def instruct(self, text: str = INSTRUCTION) -> SetInstruction.Response:
        """The answer of system2/set_instruction."""
        return self.node.call(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=text))

    def instruct_many(self, rate_hz: float, duration_s: float) -> str:
        """Requests at `rate_hz` for `duration_s` of wall time, without waiting in between; the id of the last one accepted."""
        client = self.node.client_of(SetInstruction, "system2/set_instruction")
        count, futures, begin_s = round(rate_hz * duration_s), [], time.monotonic()
        for k in range(count):
            due_s = begin_s + k / rate_hz
            while time.monotonic() < due_s:
                self.node.spin_once()
            futures.append(client.call_async(SetInstruction.Request(text=INSTRUCTION)))
        self.until(lambda: all(future.done() for future in futures), "answers to every request", 30)
        last = futures[-1].result()
        if last is None:
            raise DialError("System-2 did not answer the last request")
        return last.instruction_id

    def reset(self, seed: int) -> None:
        """Puts the world back to its beginning: the clock jumps."""
        self.node.command(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=seed, target=-1))

    def in_state(self, *states: int) -> bool:
        """Whether System-1's last word was one of these."""
        return self.witness.system1 is not None and self.witness.system1.state in states

    def wait_active(self) -> None:
        """All three nodes speak and System-1 and System-2 are active."""

        def active() -> bool:
            one, two = self.witness.system1, self.witness.system2
            if one is None or two is None or self.witness.now_ns <= SETTLED_S * NANOSECONDS:
                return False
            return one.state != System1Status.STATE_INACTIVE and two.state != System2Status.STATE_INACTIVE

        self.until(active, "all nodes active; see their logs", START_LIMIT_S)

    def run_freely(self) -> None:
        """Leaves with a robot that follows chunks for a new instruction, every input good."""
        self.saboteur.recover()
        self.until(lambda: self.witness.now_ns > SETTLED_S * NANOSECONDS, "the clock", 30)
        instruction_id = self.instruct().instruction_id

        def runs() -> bool:
            said = self.witness.system1
            return said is not None and said.instruction_id == instruction_id and said.state == System1Status.STATE_RUNNING

        self.until(runs, "System-1 to run", 30)
        self.until_chunks(3)

    def until_chunks(self, count: int, limit_s: float = 15.0) -> None:
        """Waits until System-1 has published `count` more chunks, running."""
        before = self.system1.published_chunks

        def came() -> bool:
            return self.in_state(System1Status.STATE_RUNNING) and self.system1.published_chunks >= before + count

        self.until(came, f"{count} chunks", limit_s)

    def end_node(self, name: str, number: int, limit_s: float = 10.0) -> int:
        """Sends a signal to a node and gives its exit status; killed if it does not end within `limit_s` [s]."""
        process = self.runner.process(name)
        self.runner.send_to(name, number)
        try:
            self.until(lambda: process.poll() is not None, f"{name} to end", limit_s)
        except NotInTimeError:
            self.runner.send_to(name, signal.SIGKILL)
            raise
        return process.returncode

    def start_again(self, name: str) -> None:
        """Restarts an ended node and waits until all are active."""
        self.witness.forget_nodes(name)
        if name == "mujoco_robot":
            self.witness.now_ns = 0
        self.runner.start_again(name)
        self.wait_active()

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of every node [MB]."""
        return {name: _rss_mb(self.runner.process(name).pid) for name in ("mujoco_robot", "system1", "system2")}

    def close(self) -> None:
        """Ends the campaign's own node."""
        self.node.destroy_node()


def sabotaged_graph(checkpoint: str = "", splice_lead_s: float | None = None) -> tuple[NodeSpec, ...]:
    """The sim graph with camera, joints and foresight led through the saboteur; `splice_lead_s` [s] in place of the default."""
    own: dict[str, Value] = {"frozen_timeout": FROZEN_S}
    if splice_lead_s is not None:
        own["splice_lead"] = splice_lead_s
    led_aside = {topic: f"{PREFIX}/{topic}" for topic in (f"image/{CAMERA}", "joint_states", "foresight")}
    nodes = []
    for node in graph("sim", checkpoint=checkpoint):
        if node.name == "system1":
            node = replace(node, remappings=node.remappings | led_aside, parameters=node.parameters | own)
        if node.name == "system2":
            node = replace(node, remappings=node.remappings | {f"image/{CAMERA}": led_aside[f"image/{CAMERA}"]})
        nodes.append(replace(node, required=False))
    return tuple(nodes)


@contextmanager
def stage(log_dir: Path, checkpoint: str = "", splice_lead_s: float | None = None) -> Iterator[GraphUnderTest]:
    """A running stage in a DDS domain of its own, every node active; arguments as of `sabotaged_graph`."""
    nodes = sabotaged_graph(checkpoint, splice_lead_s)
    with running(nodes, "sim", log_dir) as started:
        set_up = GraphUnderTest(started.runner)
        try:
            set_up.wait_active()
            yield set_up
        finally:
            set_up.close()


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
