"""The world of a System-1 that is tested alone: all its inputs are played, and each can be switched off or corrupted."""

import time
import uuid

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.foresight_gate import Foresight
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.msg import Instruction, LatentForesight, System1Status
from dial_ros.node import qos
from dial_ros.node.messages import foresight_to_message, image_to_message, to_time

from .conftest import PATIENCE_S

STEP_NS = 10_000_000
CHUNK_PATIENCE_S = 3.0  # of wall time that the world stands still for a chunk which is owed; one that was missed needs a new image


class PlayedWorld:
    """Clock, camera, joints, instruction and foresight, each of which can be switched off or corrupted."""

    def __init__(self, probe, model_id: str, shape: tuple[int, int], embodiment) -> None:
        self.probe, self.model_id, self.shape = probe, model_id, shape
        self.now_ns, self.steps, self.seq, self._advanced_s = 0, 0, 0, time.monotonic()
        self._owed_since_s: float | None = None  # wall time; None: no chunk is owed
        self.clock_ahead_s = 0.0  # of what System-1 gets as /clock, before the robot's time
        self.on = {"camera", "joints", "foresight"}
        self.instruction_id = ""
        self._last_arrival: tuple[JointTrajectory | None, int] = (None, 0)  # and the world's time then [ns]
        self.joints = JointState(name=list(embodiment.joint_names), position=embodiment.home_position.tolist())
        self._camera = embodiment.cameras[0]
        self._clock_out = probe.create_publisher(Clock, "/clock", qos.SENSOR)
        self._joints_out = probe.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._image_out = probe.create_publisher(Image, "image/ego", qos.SENSOR)
        self._foresight_out = probe.create_publisher(LatentForesight, "foresight", qos.LATEST)
        self._instruction_out = probe.create_publisher(Instruction, "instruction", qos.LATCHED)

    def step(self) -> None:
        """10 ms of the world in at least 10 ms of wall time; a System-1 that is slow on a busy machine is waited for."""
        if not self._owes_a_chunk():
            self._owed_since_s = None
        elif self._owed_since_s is None:
            self._owed_since_s = time.monotonic()
        if self._owed_since_s is not None and time.monotonic() - self._owed_since_s < CHUNK_PATIENCE_S:
            self.probe.spin_once(0.01)
            return
        self._advanced_s = time.monotonic()
        self.now_ns += STEP_NS
        self.steps += 1
        self._clock_out.publish(Clock(clock=to_time(self.now_ns + round(self.clock_ahead_s * NANOSECONDS))))
        if "joints" in self.on:
            self.joints.header.stamp = to_time(self.now_ns)
            self._joints_out.publish(self.joints)
        if "camera" in self.on and self.steps % 5 == 0:
            pixels = np.zeros((self._camera.height, self._camera.width, 3), np.uint8)
            self._image_out.publish(image_to_message(pixels, self.now_ns, self._camera.frame))
        if "foresight" in self.on and self.instruction_id and self.steps % 25 == 0:
            self.send_foresight()
        # A spin ends with the first message: without the loop the world would run ahead of a System-1 that talks much.
        while time.monotonic() - self._advanced_s < STEP_NS / NANOSECONDS:
            self.probe.spin_once(0.01)
        self._note_arrival()

    def _note_arrival(self) -> None:
        if self.probe.trajectories and self.probe.trajectories[-1] is not self._last_arrival[0]:
            self._last_arrival = self.probe.trajectories[-1], self.now_ns

    def _owes_a_chunk(self) -> bool:
        running = self.probe.system1 is not None and self.probe.system1.state == System1Status.STATE_RUNNING
        if not running or len(self.on) < 3 or not self.probe.trajectories:
            return False
        since_ns = max(to_ns(self.probe.trajectories[-1].header.stamp), to_ns(self.probe.system1.last_change))
        return self.now_ns - since_ns > 400_000_000

    def send_foresight(self, tokens: np.ndarray | None = None, age_s: float = 0.1, **changes) -> None:
        self.seq += 1
        tokens = np.zeros(self.shape, np.float32) if tokens is None else tokens
        stamp_ns = max(self.now_ns - round(age_s * NANOSECONDS), 0)
        foresight = Foresight(tokens, tokens.shape, str(tokens.dtype), stamp_ns, self.seq, self.instruction_id, self.model_id)
        message = foresight_to_message(foresight, self.now_ns, "ego", 0.8)
        for field, value in changes.items():
            setattr(message, field, value)
        self._foresight_out.publish(message)

    def instruct(self) -> None:
        self.instruction_id = str(uuid.uuid4())
        self._instruction_out.publish(Instruction(stamp=to_time(self.now_ns), instruction_id=self.instruction_id, text="tidy up"))

    def until(self, condition, what: str, deadline_s: float = PATIENCE_S):
        return self.probe.until(condition, what, deadline_s, self.step)

    def call(self, kind, name: str, request):
        """Response of a service of System-1, while the world continues."""
        return self.probe.call(kind, f"system1/{name}", request, step=self.step)

    def gets_nothing(self, seconds: float = 0.6) -> bool:
        """Whether no trajectory comes for a while of the world's time."""
        count, start_ns = len(self.probe.trajectories), self.now_ns
        self.until(lambda: self.now_ns > start_ns + seconds * NANOSECONDS, f"{seconds} s")
        return len(self.probe.trajectories) == count

    def change_state(self, wanted: str) -> None:
        """Activates (`active`) or deactivates (`inactive`) System-1."""
        transition = {"active": Transition.TRANSITION_ACTIVATE, "inactive": Transition.TRANSITION_DEACTIVATE}[wanted]
        assert self.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=transition))).success

    def until_state(self, state: int, what: str) -> None:
        self.until(lambda: self.probe.system1.state == state, what)

    def until_stopping(self) -> None:
        """Waits until the last trajectory is a stop, which is much shorter than a chunk, and ends at rest."""

        def stops() -> bool:
            if not self.probe.trajectories:
                return False
            self._note_arrival()
            last, arrived_ns = self._last_arrival
            rests_ns = to_ns(last.header.stamp) + to_ns(last.points[-1].time_from_start)
            return rests_ns - arrived_ns < 500_000_000 and all(velocity == 0.0 for velocity in last.points[-1].velocities)

        self.until(stops, "a decelerating trajectory")

    def refusals(self) -> dict[str, int]:
        status = self.probe.system1
        return dict(zip(status.rejection_names, status.rejection_counts, strict=True))
