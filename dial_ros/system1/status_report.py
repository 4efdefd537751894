"""What System-1 reports: its counters, its trace, its status message and its diagnostics."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus

from dial_core.control.arming import Arming, State
from dial_core.control.foresight_gate import ForesightGate, Refusal
from dial_core.control.joint_limits import Clamps, Limit
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import MotionPlan
from dial_core.control.tracing import TraceRow, TraceWriter
from dial_ros.msg import Instruction, System1Status
from dial_ros.node.messages import to_time
from dial_ros.node.rates import Rate
from dial_ros.system1.senses import REFUSED, Senses

STATUS_STATES = {
    State.INACTIVE: System1Status.STATE_INACTIVE,
    State.DISARMED: System1Status.STATE_DISARMED,
    State.WAITING: System1Status.STATE_WAITING,
    State.RUNNING: System1Status.STATE_RUNNING,
    State.HOLDING: System1Status.STATE_HOLDING,
    State.PAUSED: System1Status.STATE_PAUSED,
    State.STOPPED: System1Status.STATE_STOPPED,
}
LEVELS = {
    State.WAITING: DiagnosticStatus.WARN,
    State.HOLDING: DiagnosticStatus.WARN,
    State.PAUSED: DiagnosticStatus.WARN,
    State.STOPPED: DiagnosticStatus.ERROR,
}


@dataclass
class Report:
    """Counters and last figures since activation."""

    trace: TraceWriter | None = None
    published_chunks: int = 0
    reported_chunks: int = 0  # published_chunks in the newest status
    rejected_chunks: int = 0
    late_chunks: int = 0  # not ready in time to take over smoothly, so not sent
    clamps: Clamps = field(default_factory=Counter)
    last_chunk: TraceRow | None = None  # the newest that was sent
    estimated_delay_s: float = -1.0
    last_refusal: str = ""
    noted_state: State | None = None
    chunk_rate: Rate = field(default_factory=Rate)
    foresight_rate: Rate = field(default_factory=Rate)

    def sent(self, row: TraceRow, clamps: Clamps) -> None:
        """A chunk went out."""
        self.published_chunks += 1
        self.clamps += clamps
        self.last_chunk, self.estimated_delay_s = row, row.estimated_delay_s
        self.chunk_rate.tick(row.sent_ns)
        self.note(row)

    def rejected(self, row: TraceRow) -> None:
        """A chunk was dropped before sending."""
        self.rejected_chunks += 1
        self.last_refusal = row.text
        self.note(row)

    def missed(self, row: TraceRow) -> None:
        """A chunk was not ready in time; the running motion continues."""
        self.late_chunks += 1
        self.note(row)

    def note(self, row: TraceRow) -> None:
        """Writes a row to the trace, if there is one."""
        if self.trace is not None:
            self.trace.write(row)

    def note_state(self, now_ns: int, arming: Arming) -> None:
        """Writes a change of state to the trace."""
        if arming.state is not self.noted_state:
            self.noted_state = arming.state
            self.note(TraceRow("state", now_ns, f"{arming.state.value}: {arming.reason}" if arming.reason else arming.state.value))

    def clear_rates(self) -> None:
        """Drops what was measured before the clock jumped; counters stay."""
        self.chunk_rate.clear()
        self.foresight_rate.clear()

    def status(
        self, now_ns: int, arming: Arming, gate: ForesightGate, instruction: Instruction | None, senses: Senses, strategy: str
    ) -> System1Status:
        """The status message of now."""
        self.note_state(now_ns, arming)
        message = System1Status(stamp=to_time(now_ns), state=STATUS_STATES[arming.state], reason=arming.reason, warning=arming.warning)
        message.last_change = to_time(arming.changed_ns)
        if instruction is not None:
            message.instruction_id, message.instruction = instruction.instruction_id, instruction.text
        message.model_id, message.strategy = gate.contract.model_id, strategy
        message.chunk_rate = self.chunk_rate.hz(now_ns)
        message.foresight_rate = self.foresight_rate.hz(now_ns)
        message.camera_rate = senses.first_camera.rate.hz(now_ns)
        message.joint_states_rate = senses.joint_rate.hz(now_ns)
        message.camera_age = or_none_yet(senses.first_camera.arrivals.age_s(now_ns))
        message.joint_states_age = or_none_yet(senses.joint_stamps.age_s(now_ns))
        message.foresight_age = or_none_yet(gate.age_s(now_ns))
        self._fill_latencies(message)
        message.published_chunks = self.reported_chunks = self.published_chunks
        message.rejected_chunks = self.rejected_chunks
        message.late_chunks = self.late_chunks
        message.clamped_targets = self.clamps.total()
        message.clamp_names = [str(limit) for limit in Limit]
        message.clamp_counts = [self.clamps[limit] for limit in Limit]
        message.refused_input_names = list(REFUSED)
        message.refused_input_counts = [senses.refused[kind] for kind in REFUSED]
        message.rejected_foresights = gate.refused.total()
        message.rejection_names = [str(reason) for reason in Refusal]
        message.rejection_counts = [gate.refused[reason] for reason in Refusal]
        message.lost_foresights = gate.lost
        message.lost_frames = senses.first_camera.arrivals.lost
        return message

    def _fill_latencies(self, message: System1Status) -> None:
        message.estimated_delay = self.estimated_delay_s
        row = self.last_chunk
        if row is None:
            for name in ("transport", "waiting", "inference", "stitching", "camera_to_command"):
                setattr(message, f"{name}_latency", -1.0)
            message.foresight_age_of_chunk = -1.0
            return
        message.foresight_seq = row.foresight_seq
        message.foresight_age_of_chunk = (row.exposed_ns - row.foresight_ns) / NANOSECONDS
        message.transport_latency, message.waiting_latency = row.stage_s("transport"), row.stage_s("waiting")
        message.inference_latency, message.stitching_latency = row.inference_s, row.stitching_s
        message.camera_to_command_latency = row.stage_s("whole")

    def diagnostics(
        self, now_ns: int, arming: Arming, gate: ForesightGate, senses: Senses, unheard: Sequence[str], unread: Sequence[str]
    ) -> tuple[bytes, str, Mapping[str, object]]:
        """Level, message and values for /diagnostics.

        Arguments:
            unheard: trajectory topics that no controller subscribes to.
            unread: controllers whose reports are published and cannot be read.
        """
        deaf = f"no controller subscribes to {', '.join(unheard)}" if unheard and arming.state is State.RUNNING else ""
        mute = f"the reports of {', '.join(unread)} cannot be read (see the log)" if unread else ""
        level = LEVELS.get(arming.state, DiagnosticStatus.WARN if arming.warning or deaf or mute else DiagnosticStatus.OK)
        row = self.last_chunk
        values: dict[str, object] = {
            "state": arming.state.value,
            "chunk_rate_hz": round(self.chunk_rate.hz(now_ns), 2),
            "foresight_rate_hz": round(self.foresight_rate.hz(now_ns), 2),
            "camera_rate_hz": round(senses.first_camera.rate.hz(now_ns), 2),
            "joint_states_rate_hz": round(senses.joint_rate.hz(now_ns), 2),
            "camera_to_command_s": round(row.stage_s("whole"), 4) if row else -1,
            "inference_s": round(row.inference_s, 4) if row else -1,
            "published_chunks": self.published_chunks,
            "rejected_chunks": self.rejected_chunks,
            "late_chunks": self.late_chunks,
            "lost_frames": senses.first_camera.arrivals.lost,
            "lost_foresights": gate.lost,
            "unheard_controllers": ", ".join(unheard),
            "unread_controllers": ", ".join(unread),
            "trace": "off" if self.trace is None else self.trace.ended or "written",
            "last_refusal": self.last_refusal or senses.last_refusal or gate.last_refusal,
        }
        values |= {f"clamped/{limit}": self.clamps[limit] for limit in Limit}
        values |= {f"input_refused/{kind}": senses.refused[kind] for kind in REFUSED}
        values |= {f"foresight_refused/{reason}": gate.refused[reason] for reason in Refusal}
        return level, "; ".join(filter(None, (arming.reason, arming.warning, deaf, mute))) or arming.state.value, values


def fill_execution(message: System1Status, plan: MotionPlan, diverged: Iterable[str]) -> None:
    """Fills in what is known of the controllers' execution."""
    message.splice_lead = plan.timing.lead_s
    if plan.execution is not None:
        message.trajectory_latency, message.lost_trajectories = or_none_yet(plan.execution.latencies.longest_s), plan.execution.lost
        message.diverged_controllers = list(diverged)


def or_none_yet(age_s: float | None) -> float:
    """An age as messages carry it: -1 for None."""
    return -1.0 if age_s is None else age_s
