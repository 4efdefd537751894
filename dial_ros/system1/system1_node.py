"""Node `system1`: camera frames, joint states and foresight in, one JointTrajectory a controller out.

The wiring only: `senses` brings frames and joints together, `control.arming` decides whether the robot may move, a worker
thread computes a chunk from the newest whole frame, and the `commander` splices it into the running motion and publishes.
A frame at least 1 / chunk_rate_hz after the last one used goes into the worker's one-slot mailbox; a steady 20 Hz timer
supervises the inputs: when one is stale, the robot decelerates and holds until all are fresh again.
"""

import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from dial_core.control.arming import Arming, Effect, Input
from dial_core.control.foresight_gate import ForesightContract, ForesightGate
from dial_core.control.joint_limits import Guard
from dial_core.control.motion import to_ns
from dial_core.control.motion_plan import MotionPlan
from dial_core.control.supervisor import MotionSupervisor
from dial_core.control.tracing import TraceRow, TraceWriter
from dial_core.errors import DialError
from dial_core.inference.warm_up import warm_up_system1
from dial_core.observation.readings import UnreadableMessageError, foresight_from_message
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_ros.msg import Instruction, LatentForesight, System1Status
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import require_bounded
from dial_ros.node.model_checks import require_loadable, require_predicted
from dial_ros.node.process import one_thread, return_memory, run
from dial_ros.node.robot_limits import Limits, margins_of
from dial_ros.node.robot_time import RobotTime
from dial_ros.system1.chunk_worker import ChunkWorker
from dial_ros.system1.commander import Commander
from dial_ros.system1.configured_system1 import ConfiguredSystem1
from dial_ros.system1.execution_feedback import ExecutionFeedback, divergence, execution_of
from dial_ros.system1.operator_services import OperatorServices
from dial_ros.system1.senses import SensedFrame, Senses
from dial_ros.system1.status_report import Report, fill_execution, or_none_yet
from dial_ros.system1.system1_parameters import PARAMETERS

ACKNOWLEDGE_S = 0.2  # wait this long for others to have the last hold and the last status when the node ends


class System1Node(DialNode):
    """System-1 as a lifecycle node. `_lock` guards what executor and worker share: arming, gate, commander."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("system1")
        self._configured: ConfiguredSystem1 | None = None
        self._chunks: ChunkWorker | None = None  # while active
        self._lock = threading.RLock()
        self._arming = Arming()  # for the life of the process: an emergency stop outlives every transition

    # -- lifecycle -----------------------------------------------------------------------------------------------

    @property
    def parts(self) -> ConfiguredSystem1:
        """Model, robot and connections. Raises DialError unless configured."""
        if self._configured is None:
            raise DialError("system1 is not configured; call its lifecycle transition `configure` first")
        return self._configured

    def configure(self) -> None:
        from dial_core.inference.system1_session import System1Session  # torch and transformers: seconds, only when needed

        one_thread()
        embodiment = load_embodiment(self.value("embodiment"))
        require_predicted(require_loadable(self, embodiment), self.value("foresight_timeout"))
        chosen = {key: self.value(key) for key in ("device", "flow_steps", "noise_seed", "runtime")}
        session = System1Session.from_checkpoint(self.value("checkpoint"), **chosen, report=self.get_logger().info)
        self._contract = session.contract
        self._contract.require(embodiment, self.value("camera"))  # again: a training may have replaced the folder meanwhile
        require_predicted(self._contract, self.value("foresight_timeout"))
        home = ForwardKinematics(embodiment).state(embodiment.home_position)
        warm_up_system1(session, home, committing=self.value("strategy") == "rtc")
        with ExitStack() as connections:  # undone if one of them cannot be made
            robot_time = connections.enter_context(closing(RobotTime(self)))
            limits = connections.enter_context(closing(Limits(self, embodiment, self._on_limits, margins_of(self))))
            step_s = 1.0 / embodiment.rate_hz
            execution = execution_of(embodiment, self.value("max_divergence"))
            plan = MotionPlan(embodiment.joint_slice, step_s, limits.guard, self.value("splice_lead"), self.value("strategy"), execution)
            feedback = connections.enter_context(closing(ExecutionFeedback(self, embodiment.controllers, execution, self._lock)))
            commander = connections.enter_context(closing(Commander(self, embodiment, plan, robot_time)))
            senses = connections.enter_context(
                closing(Senses(self, self._contract, embodiment, self._on_joint_state, self._on_observation))
            )
            senses.warm_up()
            connections.enter_context(closing(OperatorServices(self, self._arming, self._lock, self._carry_out, plan)))
            status_out = self.create_publisher(System1Status, "~/status", qos.LATCHED)
            connections.callback(self.destroy_publisher, status_out)
            foresight_in = self.create_subscription(LatentForesight, "foresight", self._on_foresight, qos.LATEST)
            connections.callback(self.destroy_subscription, foresight_in)
            commands = [f"{controller.name}/joint_trajectory" for controller in embodiment.controllers]
            self.require_sole_publishers(published=commands, subscribed=["foresight", "instruction"])
            for period_s, callback in ((0.05, self._supervise), (0.2, self._publish_status)):
                connections.callback(self.destroy_timer, self.every(period_s, callback))
            supervisor = MotionSupervisor(self._arming, plan, commander, robot_time.simulated, self._reset_buffers)
            self._configured = ConfiguredSystem1(
                session, embodiment, robot_time, limits, feedback, commander, supervisor, senses, status_out, connections.pop_all()
            )

    def listened(self) -> bool:
        return self.parts.senses.listened and self.parts.limits.listened

    def obstacle(self) -> str:
        configured = self._configured
        return "; ".join(part.misfit for part in (configured.senses, configured.limits) if part.misfit) if configured else ""

    def summary(self) -> str:
        return f"model {self._contract.model_id}, strategy {self.value('strategy')}, limits from {self.value('limits_from')}"

    def activate(self) -> None:
        self._gate = ForesightGate(
            ForesightContract(
                self._contract.model_id,
                (self._contract.foresight_shape[0], self._contract.foresight_shape[1]),
                self.value("foresight_timeout"),
            )
        )
        trace_file = self.value("trace_file")
        self._report = Report(TraceWriter(Path(trace_file), self.value("trace_mb")) if trace_file else None)
        self.parts.senses.reset()
        self._instruction: Instruction | None = None
        self._foresight_refusal = ""
        with self._lock:
            self.parts.commander.plan.release(self.parts.robot_time.now_ns())
        self._clock_seen = (0, time.monotonic())
        self._diverged: dict[str, str] = {}  # controllers that do not execute what they are sent
        self._arming.activate(self.now_ns())
        self._chunks = ChunkWorker(self, self.parts, self._arming, self._gate, self._report, self._lock)
        # Subscribed only now, and volatile: DDS delivers nothing then that was published before, whatever the clocks say.
        self._instruction_in = self.create_subscription(Instruction, "instruction", self._on_instruction, qos.LATEST)

    def deactivate(self) -> None:
        with self._lock:
            self._carry_out(self._arming.deactivate(self.now_ns()))
            self._instruction = None
        self.destroy_subscription(self._instruction_in)
        if self._chunks:
            self._chunks.close()
            self._chunks = None
        self.parts.status_out.publish(self._status())
        self.parts.commander.wait_until_acknowledged(ACKNOWLEDGE_S, self.parts.status_out)
        if self._report.trace:
            self._report.trace.close()

    def cleanup(self) -> None:
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.connections.close()
            del configured
        return_memory()  # after a `configure` that was refused too: it may have loaded the model before

    def _carry_out(self, effect: Effect) -> None:
        """Carries out what the state machine asks for; the caller holds the lock."""
        if Effect.HOLD in effect:
            self.get_logger().warning(f"decelerating: {self._arming.reason}")
        self.parts.supervisor.carry_out(effect)

    def _reset_buffers(self) -> None:
        if self._chunks is not None:
            self._chunks.reset()
            self._gate.clear()
            self.parts.senses.clear()
            self._report.clear_rates()
            self._foresight_refusal = ""

    # -- clocks (executor thread) --------------------------------------------------------------------------------

    def clock_jumped_back(self) -> None:
        if self._configured is not None:
            self.parts.robot_time.note_jump_back()
            self._follow_clocks()

    def _on_joint_state(self, stamp_ns: int) -> None:
        self.parts.robot_time.note_joint_state(stamp_ns)
        self._follow_clocks()

    def _follow_clocks(self) -> None:
        """Reacts to clock steps, and publishes a hold that is owed because the robot's clock was unknown."""
        with self._lock:
            steps = self.parts.robot_time.take_steps()
            # Not `now_ns`: a restarted time is seen here before the executor has taken its first tick.
            failure = self.parts.supervisor.react(steps, self.parts.robot_time.own_ns(), self.conflict() if steps else "")
            if not all(step.followed for step in steps):
                self._instruction = None
        if failure:
            self.complain("deceleration", f"the deceleration that is owed could not be computed: {failure}", grave=True)
        if steps:
            self.get_logger().warning(f"{'; '.join(map(str, steps))}: buffers reset, disarmed until a new instruction")
            self._publish_status()

    # -- inputs (executor thread) --------------------------------------------------------------------------------

    def _on_instruction(self, message: Instruction) -> None:
        try:
            require_bounded(message)
        except UnreadableMessageError as error:
            self.complain("instruction", str(error))
            return
        with self._lock:
            if message.instruction_id == self._arming.instruction_id:
                return
            self._carry_out(self.parts.supervisor.instruct(message.instruction_id, self.now_ns()))
            self._instruction, self._foresight_refusal = message, ""
            self._gate.clear()
            outcome = ", ".join(filter(None, (self._arming.state.value, self._arming.reason, self._arming.warning)))
        self.get_logger().info(f"instruction '{message.text}': {outcome}")
        self._publish_status()

    def _on_foresight(self, message: LatentForesight) -> None:
        if not self.active or not self._arming.instruction_id:
            return
        now_ns = self.now_ns()
        with self._lock:
            accepted = self._gate.offer(foresight_from_message(message), self._arming.instruction_id, now_ns)
            self._foresight_refusal = "" if accepted else self._gate.last_refusal
        stamps = {"exposed_ns": to_ns(message.header.stamp), "sent_ns": to_ns(message.publish_stamp), "received_ns": now_ns}
        self._report.note(TraceRow("foresight", now_ns, self._foresight_refusal, **stamps, foresight_seq=message.seq))
        if accepted:
            self._report.foresight_rate.tick(now_ns)
            self._supervise()
        else:
            self.complain(self._gate.last_refusal.split(":")[0], f"foresight refused: {self._gate.last_refusal}")

    def _on_limits(self, guard: Guard) -> None:
        with self._lock:
            self.parts.commander.plan.guard = guard
            self.parts.senses.use_limits(self.parts.limits.without_margins)

    def _on_observation(self, seen: SensedFrame) -> None:
        if self._chunks is not None:
            self._chunks.offer(seen)

    # -- supervision (executor thread) ---------------------------------------------------------------------------

    def _supervise(self) -> None:
        if not self.active or self._chunks is None:
            return
        self.parts.robot_time.now_ns()  # notes clock steps
        self._follow_clocks()
        now_ns = self.now_ns()
        with self._lock:
            before = self._arming.state, bool(self._arming.warning)
            self._diverged = divergence(self.parts.commander, self.parts.robot_time.now_ns(), self.parts.senses.newest_joints)
            if self._diverged:
                self._carry_out(self._arming.diverged("; ".join(self._diverged.values()), now_ns))
            self._carry_out(self._arming.update(self._judged_inputs(now_ns, self._chunks), now_ns))
        after = self._arming.state, bool(self._arming.warning)
        if after != before or self._report.published_chunks > self._report.reported_chunks:  # a status a chunk
            self._publish_status()

    def _judged_inputs(self, now_ns: int, chunks: ChunkWorker) -> dict[str, Input]:
        """Every input by name, as the state machine evaluates it."""
        if now_ns != self._clock_seen[0]:
            self._clock_seen = (now_ns, time.monotonic())
        standing_s, apart = time.monotonic() - self._clock_seen[1], self.parts.robot_time.misfit
        inputs = self.parts.senses.inputs(now_ns) | {
            "foresight": Input(self._gate.age_s(now_ns), self.value("foresight_timeout"), self._foresight_refusal),
            "clock": Input(None if apart else standing_s, self.value("clock_timeout"), apart),
            "robot_description": self.parts.limits.input,
            "chunk": chunks.input(now_ns),
        }
        if conflict := self.conflict():
            inputs["exclusive access"] = Input(None, 1.0, conflict)
        return inputs

    def _publish_status(self) -> None:
        if self.active:
            self.parts.status_out.publish(self._status())

    def _status(self) -> System1Status:
        now_ns, parts = self.now_ns(), self.parts
        with self._lock:
            message = self._report.status(now_ns, self._arming, self._gate, self._instruction, parts.senses, self.value("strategy"))
            message.chunk_age = or_none_yet(self._chunks.age_s(now_ns) if self._chunks else None)
            message.clock_offset = parts.robot_time.offset_s
            fill_execution(message, parts.commander.plan, self._diverged)
        return message

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        parts = self.parts
        unheard, unread = parts.commander.unsubscribed, parts.feedback.unread
        return self._report.diagnostics(self.now_ns(), self._arming, self._gate, parts.senses, unheard, unread)


def main() -> int:
    """Entry point; the exit status."""
    return run(System1Node)


if __name__ == "__main__":
    sys.exit(main())
