"""Node `system1`: camera frames, joint states and foresight in, one JointTrajectory a controller out.

A camera frame at least 1 / chunk_rate_hz after the last one used goes, with the joints of its moment, into a one-slot
mailbox; a worker thread infers a chunk, splices it into the running motion inside the limits, and publishes. A steady
20 Hz timer watches the inputs: one of them stale, and the robot decelerates to a hold until all are fresh again.
"""

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import Image, JointState

from dial_core.embodiment import load_embodiment
from dial_core.errors import DialError
from dial_core.kinematics import ForwardKinematics
from dial_core.runtime.arming import Arming, Input, State
from dial_core.runtime.foresight_gate import Foresight, ForesightContract, ForesightGate
from dial_core.runtime.guard import Guard, NotFiniteError, require_finite
from dial_core.runtime.motion import NANOSECONDS
from dial_core.runtime.stitching import ChunkTooLateError
from dial_ros import qos
from dial_ros.commander import Commander
from dial_ros.joint_history import JointHistory
from dial_ros.lifecycle import DialNode, Parameter, one_thread, run
from dial_ros.messages import JointOrder, UnreadableMessageError, foresight_from_message, image_from_message, to_ns
from dial_ros.msg import Instruction, LatentForesight, System1Status
from dial_ros.rates import StampedStream
from dial_ros.system1_report import Report
from dial_ros.worker import Worker

ACKNOWLEDGE_S = 0.2  # wait this long for others to have the last hold and the last status when the node ends


@dataclass(frozen=True)
class Observation:
    """What one chunk starts from. `pixels`: (H, W, 3) uint8 RGB; `joints`: (J,) [rad] at the same moment."""

    pixels: np.ndarray
    joints: np.ndarray
    stamp_ns: int


class System1Node(DialNode):
    """System-1 as a lifecycle node. `_lock` guards what executor and worker share: arming, gate, commander."""

    PARAMETERS = {
        "checkpoint": Parameter("", "folder of the checkpoint (save_pretrained)"),
        "device": Parameter("cpu", "where the model runs: cpu, cuda, cuda:1, ..."),
        "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
        "camera": Parameter("ego", "name of the embodiment's camera that the model sees"),
        "chunk_rate_hz": Parameter(6.7, "chunks a second of ROS time at most [Hz]", 0.1, 100.0),
        "strategy": Parameter("ensemble", "where chunks overlap: ensemble (their mean) or replace (the newest alone)"),
        "flow_steps": Parameter(4, "Euler steps of the flow [1]", 1, 100),
        "noise_seed": Parameter(0, "seed of the fixed initial noise of the flow", 0, 2**31 - 1),
        "camera_timeout": Parameter(0.5, "age of the newest frame beyond which the robot holds [s]", 0.01, 60.0),
        "joint_timeout": Parameter(0.3, "age of the newest joint state beyond which the robot holds [s]", 0.01, 60.0),
        "foresight_timeout": Parameter(0.8, "age of the foresight beyond which the robot holds; at most the horizon [s]", 0.01, 60.0),
        "clock_timeout": Parameter(3.0, "wall seconds without progress of the ROS clock beyond which the robot holds [s]", 0.1, 60.0),
        "joint_gap": Parameter(0.05, "a frame needs a joint state at most this much older than itself [s]", 0.001, 1.0),
        "splice_lead": Parameter(0.02, "a chunk takes over this long after it is sent [s]", 0.0, 0.5),
        "position_margin": Parameter(0.0, "joint targets keep this distance to the position limits [rad]", 0.0, 0.2),
    }

    def __init__(self) -> None:
        super().__init__("system1")
        self._session = self._commander = self._status_out = None
        self._inputs, self._timers = [], []
        self._worker: Worker[Observation] | None = None
        self._lock = threading.RLock()

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        from dial_core.runtime.sessions import System1Session  # torch and transformers: seconds, only when needed

        one_thread()
        self._embodiment = load_embodiment(self.value("embodiment"))
        self._session = System1Session.from_checkpoint(*(self.value(key) for key in ("checkpoint", "device", "flow_steps", "noise_seed")))
        self._contract = self._session.contract
        self._contract.require(self._embodiment, self.value("camera"))
        horizon_s, timeout_s = self._contract.horizon / self._contract.rate_hz, self.value("foresight_timeout")
        if timeout_s > horizon_s + 1e-9:
            raise DialError(f"foresight_timeout is {timeout_s} s, but this checkpoint looks only {horizon_s} s ahead; give at most that")
        self._kinematics = ForwardKinematics(self._embodiment)
        self._order = JointOrder(self._embodiment.joint_names)
        self._warm_up()
        guard = Guard.for_embodiment(self._embodiment, self.value("position_margin"))
        self._commander = Commander(self, self._embodiment, guard, self.value("splice_lead"), self.value("strategy"))
        self._status_out = self.create_publisher(System1Status, "~/status", qos.LATCHED)
        self._inputs = [
            self.create_subscription(Image, f"image/{self._contract.camera}", self._on_image, qos.SENSOR),
            self.create_subscription(JointState, "joint_states", self._on_joint_state, qos.SENSOR),
            self.create_subscription(LatentForesight, "foresight", self._on_foresight, qos.LATEST),
        ]
        self._timers = [self.every(0.05, self._supervise), self.every(0.2, self._publish_status)]

    def activate(self) -> None:
        self._gate = ForesightGate(
            ForesightContract(self._contract.model_id, tuple(self._contract.foresight_shape), self.value("foresight_timeout"))
        )
        self._arming, self._report = Arming(), Report()
        self._images, self._joint_stamps, self._joints = StampedStream(), StampedStream(), JointHistory()
        self._instruction: Instruction | None = None
        self._commander.forget()
        self._last_used_ns: int | None = None
        self._clock_seen = (0, time.monotonic())
        self._worker = Worker("system1", self._infer, self.fail_with)
        # Subscribed only now: the latched instruction must meet a node that is ready to be armed.
        self._instruction_in = self.create_subscription(Instruction, "instruction", self._on_instruction, qos.LATCHED)

    def deactivate(self) -> None:
        with self._lock:
            if self._arming.state is State.RUNNING:
                self._commander.hold(self.now_ns())
            self._arming.disarm("not active", self.now_ns())
            self._instruction = None
        self.destroy_subscription(self._instruction_in)
        if self._worker:
            self._worker.close()
            self._worker = None
        last = self._status()
        last.state = System1Status.STATE_INACTIVE
        self._status_out.publish(last)
        self._commander.wait_until_heard(ACKNOWLEDGE_S, self._status_out)

    def cleanup(self) -> None:
        if self._commander is not None:
            self._commander.close()
        if self._status_out is not None:
            self.destroy_publisher(self._status_out)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        for timer in self._timers:
            self.destroy_timer(timer)
        self._session = self._commander = self._status_out = None
        self._inputs, self._timers = [], []

    def clock_jumped_back(self) -> None:
        if not self.active:
            return
        self.get_logger().warning("the clock jumped back: buffers cleared, disarmed until a new instruction")
        with self._lock:
            self._arming.clock_jumped(self.now_ns())
            self._worker.clear()
            self._gate.clear()
            self._commander.forget()
            self._last_used_ns, self._instruction = None, None
            for stream in (self._images, self._joint_stamps, self._joints):
                stream.clear()
            self._report.clear_rates()
        self._publish_status()

    def _warm_up(self) -> None:
        """The first pass allocates: not in front of a moving robot."""
        blank = np.zeros((self._contract.height, self._contract.width, 3), np.uint8)
        state = self._kinematics.state(self._embodiment.home_position)
        self._session.chunk(blank, np.zeros(self._contract.foresight_shape, np.float32), state)

    # -- inputs (executor thread) --------------------------------------------------------------------------------

    def _on_instruction(self, message: Instruction) -> None:
        with self._lock:
            if message.instruction_id == self._arming.instruction_id:
                return
            if self._arming.instruct(message.instruction_id, self.now_ns()):
                self._commander.hold(self.now_ns())
            self._instruction = message
            self._gate.clear()
        self._publish_status()

    def _on_foresight(self, message: LatentForesight) -> None:
        if not self.active or not self._arming.instruction_id:
            return
        now_ns = self.now_ns()
        with self._lock:
            accepted = self._gate.offer(foresight_from_message(message), self._arming.instruction_id, now_ns)
        if accepted:
            self._report.foresight_rate.tick(now_ns)
            self._supervise()
        else:
            self.complain(self._gate.last_refusal.split(":")[0], f"foresight refused: {self._gate.last_refusal}")

    def _on_joint_state(self, message: JointState) -> None:
        if not self.active:
            return
        try:
            positions = self._order.positions(message)
        except UnreadableMessageError as error:
            self._refuse("joint state", str(error))
            return
        stamp_ns = to_ns(message.header.stamp)
        self._joint_stamps.take(stamp_ns)
        self._joints.add(stamp_ns, positions)

    def _on_image(self, message: Image) -> None:
        if not self.active:
            return
        stamp_ns = to_ns(message.header.stamp)
        if not self._images.take(stamp_ns) or self._arming.state is not State.RUNNING:
            return
        # Half a millisecond of grace: stamps of a 20 Hz camera are no exact multiples.
        period_ns = NANOSECONDS / self.value("chunk_rate_hz") - 500_000
        if self._last_used_ns is not None and stamp_ns - self._last_used_ns < period_ns:
            return
        try:
            pixels = image_from_message(message, (self._contract.height, self._contract.width))
        except UnreadableMessageError as error:
            self._refuse("image", str(error))
            return
        gap_s = self.value("joint_gap")
        joints = self._joints.at(stamp_ns, gap_s)
        if joints is None:
            self._refuse("joints of the frame", f"no joint state within {gap_s} s before the frame at {stamp_ns / NANOSECONDS:.3f} s")
        else:
            self._last_used_ns = stamp_ns
            self._worker.put(Observation(pixels, joints, stamp_ns))

    # -- chunks (worker thread) ----------------------------------------------------------------------------------

    def _infer(self, seen: Observation) -> None:
        with self._lock:
            foresight = self._gate.newest
            if self._arming.state is not State.RUNNING or foresight is None:
                return
        started = time.perf_counter()
        chunk = self._session.chunk(seen.pixels, foresight.tokens, self._kinematics.state(seen.joints))
        self._report.inference_s = time.perf_counter() - started
        try:
            require_finite(chunk, f"chunk of the frame at {seen.stamp_ns / NANOSECONDS:.3f} s")
            with self._lock:
                self._send_chunk(chunk[:, self._embodiment.joint_slice], seen, foresight)
        except (NotFiniteError, ChunkTooLateError) as error:
            self._report.rejected_chunks += 1
            self._refuse(type(error).__name__, str(error))

    def _send_chunk(self, targets: np.ndarray, seen: Observation, foresight: Foresight) -> None:
        """Splices targets (H, J) [rad] into the running motion and publishes, unless the world changed meanwhile."""
        same_instruction = foresight.instruction_id == self._arming.instruction_id and self._gate.newest is not None
        if self._arming.state is not State.RUNNING or not same_instruction:
            return
        clamped = self._commander.follow(targets, seen.stamp_ns, seen.joints, self.now_ns())
        now_ns, report = self.now_ns(), self._report
        report.published_chunks += 1
        report.clamped_targets += clamped
        report.foresight_seq = foresight.seq
        report.foresight_age_s = (seen.stamp_ns - foresight.stamp_ns) / NANOSECONDS
        report.latency_s = (now_ns - seen.stamp_ns) / NANOSECONDS
        report.chunk_rate.tick(now_ns)

    # -- watching ------------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        if not self.active:
            return
        now_ns, wall_s = self.now_ns(), time.monotonic()
        if now_ns != self._clock_seen[0]:
            self._clock_seen = (now_ns, wall_s)
        foresight = self._gate.newest
        inputs = {
            "camera": Input(self._images.age_s(now_ns), self.value("camera_timeout")),
            "joint_states": Input(self._joint_stamps.age_s(now_ns), self.value("joint_timeout")),
            "foresight": Input(None if foresight is None else (now_ns - foresight.stamp_ns) / NANOSECONDS, self.value("foresight_timeout")),
            "clock": Input(wall_s - self._clock_seen[1], self.value("clock_timeout")),
        }
        with self._lock:
            before = self._arming.state
            if self._arming.update(inputs, now_ns):
                self._commander.hold(self.now_ns())
                self.get_logger().warning(f"holding: {self._arming.reason}")
        if self._arming.state is not before or self._report.published_chunks > self._report.told_chunks:  # a status a chunk
            self._publish_status()

    def _refuse(self, kind: str, why: str) -> None:
        self._report.last_refusal = why
        self.complain(kind, why)

    def _publish_status(self) -> None:
        if self.active:
            self._status_out.publish(self._status())

    def _status(self) -> System1Status:
        with self._lock:
            return self._report.status(self.now_ns(), self._arming, self._gate, self._instruction, self._images, self._joint_stamps)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        return self._report.diagnostics(self._arming, self._gate, self._images)


def main() -> int:
    """Entry point; the exit status."""
    return run(System1Node)


if __name__ == "__main__":
    sys.exit(main())
