"""Node `system2`: subscribes to camera frames, takes an instruction by service, publishes `foresight`.

A camera frame stamped at least 1 / rate_hz after the last one used goes into a one-slot mailbox; a worker thread runs the
model on it and publishes. The rate is measured on the stamps, so it follows simulated time.
"""

import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Float32

from dial_core.checkpoint.trained_on import TrainedOn, warning_of
from dial_core.control.foresight_gate import Foresight
from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.finiteness import NotFiniteError, require_finite
from dial_core.observation.readings import UnreadableMessageError
from dial_core.robot.embodiment import Camera, load_embodiment
from dial_ros.msg import Instruction, LatentForesight, System2Status
from dial_ros.node import qos
from dial_ros.node.cameras import CameraInput, Frame
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import foresight_to_message, image_to_message, to_time
from dial_ros.node.model_checks import require_loadable
from dial_ros.node.process import one_thread, return_memory, run
from dial_ros.node.rates import Rate
from dial_ros.node.worker import Worker
from dial_ros.srv import SetInstruction
from dial_ros.system2.configured_system2 import ConfiguredSystem2
from dial_ros.system2.foresight_check import ForesightCheck, ForesightError
from dial_ros.system2.foresight_image import ForesightImage
from dial_ros.system2.instruction_check import objection_to
from dial_ros.system2.system1_watch import System1Watch
from dial_ros.system2.system2_parameters import PARAMETERS
from dial_ros.system2.system2_warm_up import warm_up_system2

if TYPE_CHECKING:
    from dial_core.inference.system2_session import System2Session


@dataclass(frozen=True)
class InstructedFrame:
    """The inputs of one inference."""

    frame: Frame
    instruction: Instruction


class System2Node(DialNode):
    """System-2 as a lifecycle node."""

    PARAMETERS = PARAMETERS

    def __init__(self) -> None:
        super().__init__("system2")
        self._configured: ConfiguredSystem2 | None = None
        self._worker: Worker[InstructedFrame] | None = None  # while active
        self._instruction: Instruction | None = None
        self._status_of: tuple[int, str, int] = (System2Status.STATE_INACTIVE, "", 0)

    # -- lifecycle -----------------------------------------------------------------------------------------------

    @property
    def parts(self) -> ConfiguredSystem2:
        """Model and connections. Raises DialError unless configured."""
        if self._configured is None:
            raise DialError("system2 is not configured; call its lifecycle transition `configure` first")
        return self._configured

    def configure(self) -> None:
        from dial_core.inference.system2_session import System2Session  # torch and transformers: seconds, only when needed

        one_thread()
        embodiment = load_embodiment(self.value("embodiment"))
        require_loadable(self, embodiment)
        chosen = {"device": self.value("device"), "runtime": self.value("runtime"), "report": self.get_logger().info}
        session = System2Session.from_checkpoint(self.value("checkpoint"), **chosen)
        self._contract, trained_on = session.contract, TrainedOn.load(self.value("checkpoint"))
        self._contract.require(embodiment, self.value("camera"))  # again: a training may have replaced the folder meanwhile
        warm_up_system2(session, draws=self.value("foresight_image"))
        self._configured = self._connect(session, trained_on, embodiment.camera(self._contract.camera))

    def _connect(self, session: "System2Session", trained_on: TrainedOn, camera: Camera) -> ConfiguredSystem2:
        """Creates every publisher, subscription, service and timer, or none of them if one cannot be created."""
        with ExitStack() as connections:

            def publisher(message_type: type, topic: str, profile: QoSProfile) -> Publisher:
                made = self.create_publisher(message_type, topic, profile)
                connections.callback(self.destroy_publisher, made)
                return made

            foresight_out = publisher(LatentForesight, "foresight", qos.LATEST)
            instruction_out = publisher(Instruction, "instruction", qos.LATCHED)
            status_out = publisher(System2Status, "~/status", qos.LATCHED)
            image_out = publisher(Image, "foresight/image", qos.SENSOR) if self.value("foresight_image") else None
            transport, on_refusal = self.value("image_transport"), lambda why: self._refuse("image", why)
            camera_in = CameraInput(self, self._contract.views[0], camera, transport, self._on_frame, on_refusal)
            connections.callback(camera_in.close)
            camera_in.warm_up()
            system1 = System1Watch(self)
            connections.callback(system1.close)
            requests_in = self.create_service(SetInstruction, "~/set_instruction", self._on_set_instruction, qos_profile=qos.REQUESTS)
            connections.callback(self.destroy_service, requests_in)
            connections.callback(self.destroy_timer, self.every(0.2, self._publish_status))
            self.require_sole_publishers(published=["foresight", "instruction"])
            errors_out = publisher(Float32, "foresight/error", qos.SENSOR), publisher(Float32, "foresight/unchanged_error", qos.SENSOR)
            publishers = foresight_out, instruction_out, status_out, image_out, errors_out
            return ConfiguredSystem2(session, trained_on, camera_in, system1, *publishers, connections.pop_all())

    @property
    def _horizon_s(self) -> float:
        return self._contract.horizon / self._contract.rate_hz

    def summary(self) -> str:
        return f"model {self._contract.model_id}, at most {self.value('rate_hz'):g} foresights per second"

    def activate(self) -> None:
        self.parts.camera.clear()
        self.parts.camera.arrivals.lost = 0
        self._rate, self._image = Rate(), ForesightImage()
        self._check = ForesightCheck(self._horizon_s, 0.6 / self.value("rate_hz"))
        self._error: ForesightError | None = None
        self._last_used_ns: int | None = None
        self._published = self._dropped = 0
        self._latency_s = self._inference_s = -1.0
        self._refusal = ""
        self._instruction = None
        self._worker = Worker("system2", self._infer, self.fail_with)

    def deactivate(self) -> None:
        self._instruction = None
        if self._worker:
            self._worker.close()
            self._worker = None
        self._publish_status()

    def cleanup(self) -> None:
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.connections.close()
            del configured
        return_memory()  # after a `configure` that was refused too: it may have loaded the model before

    def clock_jumped_back(self) -> None:
        if not self.active or self._worker is None:
            return
        self.get_logger().warning("the clock jumped back: buffers reset, waiting for a new instruction")
        self._instruction = None
        self._worker.clear()
        self.parts.camera.clear()
        self._rate.clear()
        self._last_used_ns = None
        self._publish_status()

    # -- inputs --------------------------------------------------------------------------------------------------

    def _on_set_instruction(self, request: SetInstruction.Request, response: SetInstruction.Response) -> SetInstruction.Response:
        text = request.text.strip()
        if not self.active:
            response.message = "system2 is not active; activate it first (ros2 lifecycle set)"
        elif objection := objection_to(text, self.value("max_instruction_length"), self.parts.session):
            response.message = objection
        else:
            instruction = Instruction(stamp=to_time(self.now_ns()), instruction_id=str(uuid.uuid4()), text=text)
            self._instruction = instruction
            self._last_used_ns = None  # the next frame gives the first foresight for it
            self.parts.instruction_out.publish(instruction)
            response.success, response.instruction_id = True, instruction.instruction_id
            self.get_logger().info(f"instruction '{text}'")
            words = warning_of(self.parts.trained_on, self.parts.session.unknown_words(text), text)
            response.warning = "; ".join(filter(None, (self.parts.system1.obstacle, words)))
            if response.warning:
                response.message = f"accepted, but {response.warning}"
                self.get_logger().warning(f"instruction '{text}' {response.message}")
            self._publish_status()
        return response

    def _on_frame(self, frame: Frame) -> None:
        if self._worker is None or self._instruction is None or self.conflict():
            return
        # Half a millisecond of tolerance: stamps of a 20 Hz camera are not exact multiples.
        period_ns = NANOSECONDS / self.value("rate_hz") - 500_000
        if self._last_used_ns is None or frame.stamp_ns - self._last_used_ns >= period_ns:
            self._last_used_ns = frame.stamp_ns
            self._worker.put(InstructedFrame(frame, self._instruction))

    # -- inference (worker thread) -------------------------------------------------------------------------------

    def _infer(self, seen: InstructedFrame) -> None:
        started, stamp_ns = time.perf_counter(), seen.frame.stamp_ns
        try:
            pixels = self.parts.camera.pixels(seen.frame)
            tokens, view_tokens = self.parts.session.look(pixels, seen.instruction.text)
            self._inference_s = time.perf_counter() - started
            require_finite(tokens, f"foresight of the frame at {stamp_ns / NANOSECONDS:.3f} s", advice="it is dropped")
        except (UnreadableMessageError, NotFiniteError) as error:
            self._dropped += isinstance(error, NotFiniteError)
            self._refuse(type(error).__name__, str(error))
            return
        if self._instruction is None or self._instruction.instruction_id != seen.instruction.instruction_id:
            return  # replaced or cleared during inference: System-1 would reject it
        now_ns = self.now_ns()
        self._published += 1
        foresight = Foresight(
            tokens=tokens,
            shape=tokens.shape,
            dtype="float32",
            stamp_ns=stamp_ns,
            seq=self._published,
            instruction_id=seen.instruction.instruction_id,
            model_id=self._contract.model_id,
        )
        frame_id = seen.frame.message.header.frame_id
        self.parts.foresight_out.publish(foresight_to_message(foresight, now_ns, frame_id, self._horizon_s))
        self._latency_s = (now_ns - stamp_ns) / NANOSECONDS
        self._rate.tick(now_ns)
        self._error = self._check.note(stamp_ns, tokens, view_tokens, foresight.instruction_id)
        if self._error is not None:
            for out, value in zip(self.parts.errors_out, (self._error.error, self._error.unchanged), strict=True):
                out.publish(Float32(data=value))
        if self.parts.image_out is not None:
            drawn = self._image.draw(tokens, view_tokens, foresight.instruction_id)
            self.parts.image_out.publish(image_to_message(drawn, stamp_ns, frame_id))

    def _refuse(self, kind: str, why: str) -> None:
        self._refusal = why
        self.complain(kind, why, grave=kind == NotFiniteError.__name__)

    # -- reports -------------------------------------------------------------------------------------------------

    def _state(self, now_ns: int) -> tuple[int, str]:
        if self._worker is None:
            return System2Status.STATE_INACTIVE, "not active"
        if self._instruction is None:
            return System2Status.STATE_IDLE, "no instruction"
        if conflict := self.conflict():
            return System2Status.STATE_WAITING, conflict
        age_s = self.parts.camera.arrivals.age_s(now_ns)
        if age_s is None:
            return System2Status.STATE_WAITING, "no camera frame yet"
        if age_s > self.value("camera_timeout"):
            return System2Status.STATE_WAITING, f"the newest camera frame is stale (limit {self.value('camera_timeout'):.2f} s)"
        return System2Status.STATE_RUNNING, ""

    def _publish_status(self) -> None:
        now_ns = self.now_ns()
        state, reason = self._state(now_ns)
        if (state, reason) != self._status_of[:2]:
            self._status_of = (state, reason, now_ns)
        message = System2Status(stamp=to_time(now_ns), state=state, reason=reason, last_change=to_time(self._status_of[2]))
        message.model_id = self._contract.model_id
        if self._instruction is not None:
            message.instruction_id, message.instruction = self._instruction.instruction_id, self._instruction.text
        if self._worker is not None:
            age_s = self.parts.camera.arrivals.age_s(now_ns)
            message.foresight_rate = self._rate.hz(now_ns)
            message.camera_age = -1.0 if age_s is None else age_s
            message.camera_to_foresight_latency = self._latency_s
            message.inference_latency = self._inference_s
            message.published_foresights = self._published
            message.rejected_foresights = self._dropped
            message.lost_frames = self.parts.camera.arrivals.lost
        self.parts.status_out.publish(message)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        state, reason = self._state(self.now_ns())
        level = DiagnosticStatus.WARN if state == System2Status.STATE_WAITING else DiagnosticStatus.OK
        values = {
            "published_foresights": self._published,
            "rejected_foresights": self._dropped,
            "foresight_rate_hz": round(self._rate.hz(self.now_ns()), 2),
            "camera_rate_hz": round(self.parts.camera.rate.hz(self.now_ns()), 2),
            "camera_to_foresight_s": round(self._latency_s, 4),
            "inference_s": round(self._inference_s, 4),
            "foresight_error": round(self._error.error, 4) if self._error else -1,
            "foresight_unchanged_error": round(self._error.unchanged, 4) if self._error else -1,
            "lost_frames": self.parts.camera.arrivals.lost,
            "last_refusal": self._refusal,
        }
        return level, reason or "running", values


def main() -> int:
    """Entry point; the exit status."""
    return run(System2Node)


if __name__ == "__main__":
    sys.exit(main())
