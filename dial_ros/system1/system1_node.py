"""Node `system1`: camera frames, joint states and foresight in, one JointTrajectory a controller out.

The wiring only: `senses` brings frames and joints together, `runtime.arming` decides whether the robot may move, a worker
thread infers a chunk from the newest whole frame, and the `commander` splices it into the running motion and publishes.
A frame at least 1 / chunk_rate_hz after the last one used goes into the worker's one-slot mailbox; a steady 20 Hz timer
watches the inputs: one of them stale, and the robot decelerates to a hold until all are fresh again.
"""

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dial_core.control.arming import Arming, Effect, Input, State
from dial_core.control.foresight_gate import Foresight, ForesightContract, ForesightGate
from dial_core.control.joint_limits import Guard, NotFiniteError, require_finite
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.control.motion_plan import MotionPlan, SpliceMissedError
from dial_core.control.splice import ChunkTooLateError
from dial_core.control.tracing import TraceRow, TraceWriter
from dial_core.errors import DialError
from dial_core.observation.readings import UnreadableMessageError, foresight_from_message
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_ros.msg import Instruction, LatentForesight, System1Status
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import require_bounded
from dial_ros.node.process import one_thread, run
from dial_ros.node.worker import Worker
from dial_ros.system1.commander import Commander
from dial_ros.system1.operator_services import OperatorServices
from dial_ros.system1.parameters import PARAMETERS
from dial_ros.system1.robot_limits import Limits
from dial_ros.system1.senses import Observation, Senses
from dial_ros.system1.status_report import Report

ACKNOWLEDGE_S = 0.2  # wait this long for others to have the last hold and the last status when the node ends


class System1Node(DialNode):
    """System-1 as a lifecycle node. `_lock` guards what executor and worker share: arming, gate, commander."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("system1")
        self._session = self._commander = self._status_out = self._senses = self._requests = self._limits = None
        self._inputs, self._watches = [], []
        self._worker: Worker[Observation] | None = None
        self._lock = threading.RLock()
        self._epoch = 0  # counts what was forgotten: a chunk begun before is not sent after
        self._arming = Arming()  # for the life of the process: an emergency stop outlives every transition

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        from dial_core.inference.sessions import System1Session  # torch and transformers: seconds, only when needed

        one_thread()
        self._embodiment = load_embodiment(self.value("embodiment"))
        self._session = System1Session.from_checkpoint(*(self.value(key) for key in ("checkpoint", "device", "flow_steps", "noise_seed")))
        self._contract = self._session.contract
        self._contract.require(self._embodiment, self.value("camera"))
        horizon_s, timeout_s = self._contract.horizon / self._contract.rate_hz, self.value("foresight_timeout")
        if timeout_s > horizon_s + 1e-9:
            raise DialError(f"foresight_timeout is {timeout_s} s, but this checkpoint looks only {horizon_s} s ahead; give at most that")
        self._kinematics = ForwardKinematics(self._embodiment)
        self._limits = Limits(self, self._embodiment, self._on_limits)
        joints, step_s = self._embodiment.joint_slice, 1.0 / self._embodiment.rate_hz
        plan = MotionPlan(joints, step_s, self._limits.guard, self.value("splice_lead"), self.value("strategy"))
        self._warm_up()
        self._commander = Commander(self, self._embodiment, plan)
        self._status_out = self.create_publisher(System1Status, "~/status", qos.LATCHED)
        self._senses = Senses(self, self._contract, self._embodiment, self._on_observation)
        self._inputs = [self.create_subscription(LatentForesight, "foresight", self._on_foresight, qos.LATEST)]
        self._requests = OperatorServices(self, self._arming, self._lock, self._carry_out)
        commands = [f"{controller.name}/joint_trajectory" for controller in self._embodiment.controllers]
        self.require_sole_publishers(published=commands, subscribed=["foresight", "instruction"])
        self._watches = [self.every(0.05, self._supervise), self.every(0.2, self._publish_status)]

    def listened(self) -> bool:
        return self._senses.listened and self._limits.listened

    def obstacle(self) -> str:
        return "; ".join(part.misfit for part in (self._senses, self._limits) if part and part.misfit)

    def summary(self) -> str:
        return f"model {self._contract.model_id}, strategy {self.value('strategy')}, limits from {self.value('limits_from')}"

    def activate(self) -> None:
        self._gate = ForesightGate(
            ForesightContract(self._contract.model_id, tuple(self._contract.foresight_shape), self.value("foresight_timeout"))
        )
        trace_file = self.value("trace_file")
        self._report = Report(TraceWriter(Path(trace_file), self.value("trace_mb")) if trace_file else None)
        self._senses.reset()
        self._instruction: Instruction | None = None
        self._foresight_refusal = ""
        self._commander.forget()
        self._last_used_ns: int | None = None
        self._clock_seen = (0, time.monotonic())
        self._arming.activate(self.now_ns())
        self._worker = Worker("system1", self._infer, self.fail_with)
        # Subscribed only now: the latched instruction must meet a node that is ready to be armed.
        self._instruction_in = self.create_subscription(Instruction, "instruction", self._on_instruction, qos.LATCHED)

    def deactivate(self) -> None:
        with self._lock:
            self._carry_out(self._arming.deactivate(self.now_ns()))
            self._instruction = None
        self.destroy_subscription(self._instruction_in)
        if self._worker:
            self._worker.close()
            self._worker = None
        self._status_out.publish(self._status())
        self._commander.wait_until_heard(ACKNOWLEDGE_S, self._status_out)
        if self._report.trace:
            self._report.trace.close()

    def cleanup(self) -> None:
        for part in (self._commander, self._senses, self._requests, self._limits):
            if part is not None:
                part.close()
        if self._status_out is not None:
            self.destroy_publisher(self._status_out)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        for timer in self._watches:
            self.destroy_timer(timer)
        self._session = self._commander = self._status_out = self._senses = self._requests = self._limits = None
        self._inputs, self._watches = [], []

    def clock_jumped_back(self) -> None:
        if not self.active:
            return
        self.get_logger().warning("the clock jumped back: buffers cleared, disarmed until a new instruction")
        with self._lock:
            self._carry_out(self._arming.clock_jumped(self.now_ns()))
            self._instruction = None
        self._publish_status()

    def _warm_up(self) -> None:
        """The first pass allocates: not in front of a moving robot. It is no chunk, so no delay is reckoned from it."""
        blank = tuple(np.zeros((view.height, view.width, 3), np.uint8) for view in self._contract.views)
        state = self._kinematics.state(self._embodiment.home_position)
        self._session.chunk(blank, np.zeros(self._contract.foresight_shape, np.float32), state)

    def _carry_out(self, effect: Effect) -> None:
        """What the state machine asks for; the caller holds the lock."""
        if Effect.HOLD in effect:
            self._commander.hold()
            self.get_logger().warning(f"decelerating: {self._arming.reason}")
        if Effect.FORGET in effect and self._worker is not None:
            self._epoch += 1
            self._worker.clear()
            self._gate.clear()
            self._commander.forget()
            self._senses.clear()
            self._report.clear_rates()
            self._last_used_ns, self._foresight_refusal = None, ""

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
            self._carry_out(self._arming.instruct(message.instruction_id, self.now_ns()))
            self._instruction, self._foresight_refusal = message, ""
            self._gate.clear()
        self.get_logger().info(f"instruction '{message.text}': {self._arming.state.value}, {self._arming.reason}")
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
            self._commander.plan.guard = guard

    def _on_observation(self, seen: Observation) -> None:
        # Half a millisecond of grace: stamps of a 20 Hz camera are no exact multiples.
        period_ns = NANOSECONDS / self.value("chunk_rate_hz") - 500_000
        due = self._last_used_ns is None or seen.stamp_ns - self._last_used_ns >= period_ns
        if due and self._arming.state is State.RUNNING:
            self._last_used_ns = seen.stamp_ns
            self._worker.put(seen)

    # -- chunks (worker thread) ----------------------------------------------------------------------------------

    def _infer(self, seen: Observation) -> None:
        with self._lock:
            foresight = self._gate.newest
            if self._arming.state is not State.RUNNING or foresight is None:
                return
            committed, epoch = self._commander.plan.committed(seen.stamp_ns), self._epoch
        started_ns, started_s = self.now_ns(), time.perf_counter()
        pixels = self._senses.pixels(seen)
        if pixels is None:
            return
        chunk = self._session.chunk(pixels, foresight.tokens, self._kinematics.state(seen.joints), committed)
        row = TraceRow(
            "chunk",
            self.now_ns(),
            exposed_ns=seen.stamp_ns,
            received_ns=seen.received_ns,
            started_ns=started_ns,
            inferred_ns=self.now_ns(),
            foresight_ns=foresight.stamp_ns,
            foresight_seq=foresight.seq,
            inference_s=time.perf_counter() - started_s,
        )
        try:
            require_finite(chunk, f"chunk of the frame at {seen.stamp_ns / NANOSECONDS:.3f} s")
            with self._lock:
                if epoch == self._epoch and self._still_wanted(foresight):
                    self._send_chunk(chunk, seen, row)
                else:
                    self._report.note(replace(row, text="the world changed while it was made"))
        except SpliceMissedError as error:
            self._report.missed(replace(row, text=str(error)))
        except (NotFiniteError, ChunkTooLateError) as error:
            self._report.rejected(replace(row, text=str(error)))
            self.complain(type(error).__name__, str(error), grave=isinstance(error, NotFiniteError))

    def _still_wanted(self, foresight: Foresight) -> bool:
        """Whether a chunk made with `foresight` may still move the robot."""
        return self._arming.state is State.RUNNING and foresight.instruction_id == self._arming.instruction_id

    def _send_chunk(self, chunk: np.ndarray, seen: Observation, row: TraceRow) -> None:
        """Splices a chunk (H, A) into the running motion and publishes; the caller holds the lock."""
        started_s = time.perf_counter()
        sent = self._commander.follow(chunk, seen.stamp_ns, seen.joints)
        row = replace(
            row,
            sent_ns=sent.sent_ns,
            takes_over_ns=sent.takes_over_ns,
            stitching_s=time.perf_counter() - started_s,
            reckoned_delay_s=self._commander.plan.reckoned_delay_s,
            clamped=sent.clamps.total(),
        )
        self._report.sent(row, sent.clamps)

    # -- watching ------------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        if not self.active:
            return
        now_ns, wall_s = self.now_ns(), time.monotonic()
        if now_ns != self._clock_seen[0]:
            self._clock_seen = (now_ns, wall_s)
        foresight = self._gate.newest
        foresight_age_s = None if foresight is None else (now_ns - foresight.stamp_ns) / NANOSECONDS
        inputs = self._senses.inputs(now_ns) | {
            "foresight": Input(foresight_age_s, self.value("foresight_timeout"), self._foresight_refusal),
            "clock": Input(wall_s - self._clock_seen[1], self.value("clock_timeout")),
            "robot_description": self._limits.input,
        }
        if conflict := self.conflict():
            inputs["exclusive access"] = Input(None, 1.0, conflict)
        with self._lock:
            before = self._arming.state, bool(self._arming.warning)
            self._carry_out(self._arming.update(inputs, now_ns))
        after = self._arming.state, bool(self._arming.warning)
        if after != before or self._report.published_chunks > self._report.told_chunks:  # a status a chunk
            self._publish_status()

    def _publish_status(self) -> None:
        if self.active:
            self._status_out.publish(self._status())

    def _status(self) -> System1Status:
        with self._lock:
            return self._report.status(self.now_ns(), self._arming, self._gate, self._instruction, self._senses, self.value("strategy"))

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        return self._report.diagnostics(self.now_ns(), self._arming, self._gate, self._senses, self._commander.unheard)


def main() -> int:
    """Entry point; the exit status."""
    return run(System1Node)


if __name__ == "__main__":
    sys.exit(main())
