"""The graph under test: its processes, the fault injector, the monitor, and the requests that an operator would make."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import SetBool, Trigger

from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import NodeSpec, Value, environment, graph
from dial_ros.bringup.runner import Runner
from dial_ros.faults.fault_injector import COMMANDED, FaultInjector, Relayed, remappings
from dial_ros.faults.hold_causes import ProcessorWait
from dial_ros.faults.monitor import CONTROLLER_HZ, Monitor
from dial_ros.faults.priority_and_memory import high_priority, normal_priority, rss_mb
from dial_ros.msg import System1Status, System2Status
from dial_ros.srv import ResetWorld, SetInstruction
from dial_ros.tools.client import SPIN_S, ClientNode, NotInTimeError, running

INSTRUCTION = "pick the can from the placemat and place it on the plate"
EMBODIMENT = load_embodiment("gr1")
START_LIMIT_S = 180.0  # of wall time; on a busy machine importing torch takes long
FROZEN_S = 0.2  # images through the injector never repeat unless a fault repeats them
NOTED_EVERY_S = 0.05
SETTLED_S = 3.0  # simulated time: room for observations stamped two seconds back
RUNNING = System1Status.STATE_RUNNING


class CampaignNode(ClientNode):
    """The campaign's own node."""

    monitor: Monitor | None = None

    def spin_once(self, timeout_s: float = SPIN_S) -> None:
        """Executes what arrives within `timeout_s` [s], and takes all set-points."""
        super().spin_once(timeout_s)
        if self.monitor is not None:
            self.monitor.poll()

    def last_words(self) -> str:
        status = self.monitor.system1 if self.monitor else None
        return f"; System-1 reported last: {status.reason or f'state {status.state}' if status else 'nothing'}"


class GraphUnderTest:
    """Everything a scenario works with. One thread: whoever waits, spins."""

    def __init__(self, runner: Runner, nodes: Sequence[NodeSpec], relayed: Relayed, log_dir: Path) -> None:
        self.runner, self.node = runner, CampaignNode("fault_campaign")
        self.specs = {node.name: node for node in nodes}
        self.log_dir = log_dir
        self.monitor = self.node.monitor = Monitor(self.node, EMBODIMENT)
        self.injector = FaultInjector(self.node, relayed, EMBODIMENT, lambda: self.monitor.now_ns)

    @property
    def system1(self) -> System1Status:
        """System-1's newest status. Raises DialError if there is none."""
        if self.monitor.system1 is None:
            raise DialError("System-1 has not reported yet")
        return self.monitor.system1

    # -- waiting -------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], what: str, limit_s: float = 10.0) -> None:
        """Spins until `condition()` is true. Raises NotInTimeError after `limit_s` [s] of wall time."""
        self.node.wait_until(condition, limit_s, what)

    def during(self, seconds: float) -> None:
        """Spins through `seconds` [s] of the robot's time (at most ten times as much wall time, if its clock stands)."""
        start_ns, end_s = self.monitor.newest_ns, time.monotonic() + 10 * seconds
        while time.monotonic() < end_s and 0 <= self.monitor.newest_ns - start_ns < seconds * NANOSECONDS:
            self.node.spin_once()

    def until_resting(self, seconds: float = 0.3, limit_s: float = 20.0) -> None:
        """Waits until all set-points have stood still for `seconds` [s]."""
        self.until(lambda: self.monitor.rests_for_s() > seconds, "the set-points to rest", limit_s)

    def until_chunks(self, count: int, limit_s: float = 20.0) -> None:
        """Waits until System-1 is running and has published `count` more chunks."""
        before = self.system1.published_chunks

        def published() -> bool:
            return self.in_state(RUNNING) and self.system1.published_chunks >= before + count

        self.until(published, f"{count} chunks", limit_s)

    def in_state(self, *states: int) -> bool:
        """Whether System-1's newest status has one of these states."""
        return self.monitor.system1 is not None and self.monitor.system1.state in states

    def reports(self, state: int, *named: str) -> bool:
        """Whether System-1's newest status has this state and a reason with all these names."""
        return self.in_state(state) and all(name in self.system1.reason for name in named)

    def wait_active(self) -> None:
        """Waits until all three nodes report and System-1 and System-2 are active."""

        def active() -> bool:
            one, two = self.monitor.system1, self.monitor.system2
            if one is None or two is None or self.monitor.newest_ns <= SETTLED_S * NANOSECONDS:
                return False
            return one.state != System1Status.STATE_INACTIVE and two.state != System2Status.STATE_INACTIVE

        self.until(active, "all nodes active; see their logs", START_LIMIT_S)

    def run_freely(self) -> None:
        """Ends every fault and waits until the robot follows chunks for a new instruction."""
        self.injector.recover()
        self.until(lambda: self.monitor.newest_ns > SETTLED_S * NANOSECONDS, "the clock", 30)
        instruction_id = self.instruct().instruction_id

        def runs() -> bool:
            status = self.monitor.system1
            return status is not None and status.instruction_id == instruction_id and status.state == RUNNING

        self.until(runs, "System-1 to run", 30)
        self.until_chunks(3)

    # -- requests ------------------------------------------------------------------------------------------------

    def instruct(self, text: str = INSTRUCTION) -> SetInstruction.Response:
        """The response of system2/set_instruction."""
        return self.node.call(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=text))

    def instruct_many(self, rate_hz: float, duration_s: float) -> str:
        """Requests at `rate_hz` for `duration_s` of wall time, without waiting in between; returns the id of the last instruction."""
        client = self.node.client_of(SetInstruction, "system2/set_instruction")
        count, futures, begin_s = round(rate_hz * duration_s), [], time.monotonic()
        for k in range(count):
            due_s = begin_s + k / rate_hz
            while time.monotonic() < due_s:
                self.node.spin_once()
            futures.append(client.call_async(SetInstruction.Request(text=INSTRUCTION)))
        self.until(lambda: all(future.done() for future in futures), "responses to every request", 30)
        last = futures[-1].result()
        if last is None:
            raise DialError("System-2 did not answer the last request")
        return last.instruction_id

    def pause(self, paused: bool) -> None:
        """Calls system1/pause."""
        self.node.command(SetBool, "system1/pause", SetBool.Request(data=paused))

    def estop(self) -> None:
        """Calls system1/estop."""
        self.node.command(Trigger, "system1/estop", Trigger.Request())

    def reset_estop(self) -> None:
        """Calls system1/reset_estop."""
        self.node.command(Trigger, "system1/reset_estop", Trigger.Request())

    def change_system1(self, transition: int) -> None:
        """Calls system1's lifecycle transition, an id of lifecycle_msgs/Transition."""
        request = ChangeState.Request(transition=Transition(id=transition))
        self.node.command(ChangeState, "system1/change_state", request)

    def set_controller_active(self, name: str, active: bool) -> None:
        """Activates or deactivates one emulated controller. The stop that a deactivation itself causes is not judged."""
        begin_ns = self.monitor.newest_ns
        self.node.command(SetBool, f"{name}/set_active", SetBool.Request(data=active))
        self.monitor.exclude_stop(name, begin_ns, self.monitor.newest_ns + NANOSECONDS // 10)

    def reset(self, seed: int) -> None:
        """Resets the world: the clock restarts at zero."""
        self.node.command(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(seed=seed, target=-1))

    # -- processes -----------------------------------------------------------------------------------------------

    def end_node(self, name: str, number: int, limit_s: float = 10.0) -> int:
        """Sends a signal to a node and returns its exit status; killed if it does not end within `limit_s` [s]."""
        process = self.runner.process(name)
        self.runner.send_to(name, number)
        try:
            self.until(lambda: process.poll() is not None, f"{name} to end", limit_s)
        except NotInTimeError:
            self.runner.send_to(name, signal.SIGKILL)
            raise
        return process.returncode

    def restart_node(self, name: str) -> None:
        """Starts an ended node and waits until all are active."""
        if name == "mujoco_robot":
            self.monitor.restart_clock()
        else:
            self.monitor.clear_status(name)
        with normal_priority():
            self.runner.start_again(name)
        self.wait_active()

    @contextmanager
    def another(self, spec: NodeSpec) -> Iterator[Runner]:
        """One more process beside the graph, ended with the context; its log is below `second/`."""
        runner = Runner([replace(spec, required=False)], environment("sim"), log_dir=self.log_dir / "second")
        with normal_priority():
            runner.start()
        try:
            yield runner
        finally:
            runner.stop()

    @contextmanager
    def noted_wait(self, name: str) -> Iterator[ProcessorWait]:
        """How long a node's threads wait for a processor, noted while the campaign waits for something."""
        wait = ProcessorWait(self.pid(name))
        timer = self.node.create_timer(NOTED_EVERY_S, lambda: wait.note(self.monitor.now_ns))
        try:
            yield wait
        finally:
            self.node.destroy_timer(timer)

    def pid(self, name: str) -> int:
        """Process id of a node."""
        return self.runner.process(name).pid

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of every node [MB]."""
        return {name: rss_mb(self.pid(name)) for name in ("mujoco_robot", "system1", "system2")}

    def close(self) -> None:
        """Destroys the campaign's own node."""
        self.node.destroy_node()


def relayed_graph(relayed: Relayed, checkpoint: str = "", splice_lead_s: float | None = None, trace_file: str = "") -> tuple[NodeSpec, ...]:
    """The sim graph with streams through the injector and controllers at 1 kHz.

    Args:
        splice_lead_s: of System-1 [s]; None: the default.
        trace_file: of System-1; empty: none.
    """
    policy: dict[str, Value] = {"image_transport": "compressed"} if relayed is Relayed.COMPRESSED else {}
    own: dict[str, dict[str, Value]] = {
        "system1": policy
        | {"frozen_timeout": FROZEN_S, "trace_file": trace_file}
        | ({} if splice_lead_s is None else {"splice_lead": splice_lead_s}),
        "system2": policy,
        "mujoco_robot": {"controller_rate_hz": CONTROLLER_HZ},
        # Continuity is judged over one period of theirs; the emulated controllers take what has arrived every 10 ms.
        "guard": {"controller_period": 1 / CONTROLLER_HZ, "transport": 0.03},
    }
    if relayed in (Relayed.CLOCK, *COMMANDED):
        del own["system1"]["frozen_timeout"]  # images come from the renderer, which may repeat one
    return tuple(
        replace(
            node,
            remappings=node.remappings | remappings(relayed, node.name, EMBODIMENT),
            parameters=node.parameters | own.get(node.name, {}),
            required=False,
        )
        for node in graph("sim", checkpoint=checkpoint, guard=relayed is Relayed.GUARDED)
    )


@contextmanager
def graph_under_test(
    log_dir: Path, relayed: Relayed = Relayed.INPUTS, checkpoint: str = "", splice_lead_s: float | None = None
) -> Iterator[GraphUnderTest]:
    """A running graph in a DDS domain of its own, every node active; arguments as of `relayed_graph`.

    System-1's trace and the nodes' logs in `log_dir` are those of the last graph that ran.
    """
    nodes = relayed_graph(relayed, checkpoint, splice_lead_s, str(log_dir.absolute() / "system1_trace.jsonl"))
    with running(nodes, "sim", log_dir) as started, high_priority():
        graph_started = GraphUnderTest(started.runner, nodes, relayed, log_dir)
        try:
            graph_started.wait_active()
            yield graph_started
        finally:
            graph_started.close()
