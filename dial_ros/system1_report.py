"""What System-1 tells about itself: its counters, its status message and its diagnostics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus

from dial_core.runtime.arming import Arming, State
from dial_core.runtime.foresight_gate import ForesightGate, Refusal
from dial_ros.messages import to_time
from dial_ros.msg import Instruction, System1Status
from dial_ros.rates import Rate, StampedStream

STATUS_STATES = {
    State.DISARMED: System1Status.STATE_DISARMED,
    State.WAITING: System1Status.STATE_WAITING,
    State.RUNNING: System1Status.STATE_RUNNING,
    State.HOLDING: System1Status.STATE_HOLDING,
}


@dataclass
class Report:
    """Counters and last figures since activation; times in [s], -1 where there is none yet."""

    published_chunks: int = 0
    told_chunks: int = 0  # published_chunks in the newest status
    rejected_chunks: int = 0
    clamped_targets: int = 0
    foresight_seq: int = 0
    foresight_age_s: float = -1.0
    latency_s: float = -1.0
    inference_s: float = -1.0
    last_refusal: str = ""
    chunk_rate: Rate = field(default_factory=Rate)
    foresight_rate: Rate = field(default_factory=Rate)

    def clear_rates(self) -> None:
        """Forgets what happened before the clock jumped; counters stay."""
        self.chunk_rate.clear()
        self.foresight_rate.clear()

    def status(
        self,
        now_ns: int,
        arming: Arming,
        gate: ForesightGate,
        instruction: Instruction | None,
        images: StampedStream,
        joints: StampedStream,
    ) -> System1Status:
        """The status message of now."""
        message = System1Status(stamp=to_time(now_ns), state=STATUS_STATES[arming.state], reason=arming.reason)
        message.last_change = to_time(arming.changed_ns)
        if instruction is not None:
            message.instruction_id, message.instruction = instruction.instruction_id, instruction.text
        message.model_id = gate.contract.model_id
        message.foresight_seq = self.foresight_seq
        message.chunk_rate = self.chunk_rate.hz(now_ns)
        message.foresight_rate = self.foresight_rate.hz(now_ns)
        message.camera_age = _or_none_yet(images.age_s(now_ns))
        message.joint_states_age = _or_none_yet(joints.age_s(now_ns))
        message.foresight_age = self.foresight_age_s
        message.camera_to_command_latency = self.latency_s
        message.inference_latency = self.inference_s
        message.published_chunks = self.told_chunks = self.published_chunks
        message.rejected_chunks = self.rejected_chunks
        message.clamped_targets = self.clamped_targets
        message.rejected_foresights = gate.refused.total()
        message.rejection_names = [str(reason) for reason in Refusal]
        message.rejection_counts = [gate.refused[reason] for reason in Refusal]
        message.lost_foresights = gate.lost
        message.lost_frames = images.lost
        return message

    def diagnostics(self, arming: Arming, gate: ForesightGate, images: StampedStream) -> tuple[bytes, str, Mapping[str, object]]:
        """Level, message and values for /diagnostics."""
        level = DiagnosticStatus.WARN if arming.state is State.HOLDING else DiagnosticStatus.OK
        values = {
            "state": arming.state.value,
            "published_chunks": self.published_chunks,
            "rejected_chunks": self.rejected_chunks,
            "clamped_targets": self.clamped_targets,
            "lost_frames": images.lost,
            "lost_foresights": gate.lost,
            "last_refusal": self.last_refusal or gate.last_refusal,
        }
        values.update({f"foresight_refused/{reason}": gate.refused[reason] for reason in Refusal})
        return level, arming.reason or arming.state.value, values


def _or_none_yet(age_s: float | None) -> float:
    return -1.0 if age_s is None else age_s
