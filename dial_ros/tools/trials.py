"""One trial after another on a running sim graph, as an operator would do it: reset the world, send the instruction, watch.

Everything goes through the graph's own services and topics; nothing here has a shortcut to the simulation or the model.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.errors import DialError
from dial_core.observation.readings import foresight_from_message, image_from_message
from dial_ros.msg import LatentForesight, System1Status, System2Status
from dial_ros.node import qos
from dial_ros.srv import ResetWorld, SetInstruction
from dial_ros.tools.client import ClientNode

SUCCESS_HELD_S = 0.5  # of simulated time; an object that topples over right after does not count
SETTLED_S = 2.0  # simulated time before a reset, so that the jump back of the clock cannot be mistaken for a late report
JUMP_S = 0.5  # a report that much older than the time before the reset comes from after it
RECORDED = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)  # a recorder wants every frame, not the newest


@dataclass(frozen=True)
class TrialFrame:
    """One camera image. `stamp_s`: simulated time [s]; `pixels`: (H, W, 3) uint8."""

    stamp_s: float
    pixels: np.ndarray


@dataclass(frozen=True)
class ForesightRecord:
    """One published foresight. Times in simulated time [s]; `tokens`: (N, d) float32."""

    observed_s: float
    published_s: float
    tokens: np.ndarray


@dataclass
class Trial:
    """Everything received during one trial. Simulated times count from the reset of the world [s]."""

    seed: int
    task: str = ""  # empty: the one that the simulation was started with
    instruction: str = ""
    instruction_id: str = ""
    started_s: float = 0.0  # when the instruction was accepted
    now_s: float = 0.0
    wall_s: float = 0.0  # since then
    success: bool = False
    system1: list[System1Status] = field(default_factory=list)
    system2: list[System2Status] = field(default_factory=list)
    rejected_trajectories: list[str] = field(default_factory=list)
    ego: list[TrialFrame] = field(default_factory=list)
    scene: list[TrialFrame] = field(default_factory=list)
    foresights: list[ForesightRecord] = field(default_factory=list)

    @property
    def sim_s(self) -> float:
        """Simulated time since the instruction [s]."""
        return self.now_s - self.started_s


class TrialOperator(ClientNode):
    """Runs trials."""

    def __init__(self, camera: str = "ego", recording: bool = True, check_alive: Callable[[], None] = lambda: None) -> None:
        """Subscribes to what a trial needs; with `recording` images and foresights are kept. `check_alive`: as of ClientNode."""
        super().__init__("trial_operator", check_alive)
        self._recording = recording
        self._trial = Trial(seed=0)
        self._judged: bool | None = None
        self._judged_s = 0.0
        self.create_subscription(Image, f"image/{camera}", self._on_ego, RECORDED)
        self.create_subscription(Bool, "mujoco_robot/success", self._on_success, qos.LATCHED)
        self.create_subscription(String, "mujoco_robot/rejected", self._on_rejected, qos.EVENTS)
        self.create_subscription(System1Status, "system1/status", lambda m: self._trial.system1.append(m), qos.LATCHED)
        self.create_subscription(System2Status, "system2/status", lambda m: self._trial.system2.append(m), qos.LATCHED)
        if recording:
            self.create_subscription(Image, "image/scene", self._on_scene, RECORDED)
            self.create_subscription(LatentForesight, "foresight", self._on_foresight, qos.LATEST)

    def wait_until_ready(self, limit_s: float) -> None:
        """Returns when all three nodes are active. Raises DialError after `limit_s` of wall time."""
        states = {"system1": System1Status.STATE_INACTIVE, "system2": System2Status.STATE_INACTIVE}

        def ready() -> bool:
            reports = {"system1": self._trial.system1[-1:], "system2": self._trial.system2[-1:]}
            return self._trial.now_s > SETTLED_S and all(r and r[0].state != states[name] for name, r in reports.items())

        self.wait_until(ready, limit_s, "nodes to become active (frames, system1/status and system2/status to arrive)")

    def run(self, seed: int, limit_s: float, progress: Callable[[Trial], None] = lambda _: None, task: str = "", target: int = -1) -> Trial:
        """Runs one trial on the scene of `seed`.

        Args:
            seed: of the scene; 100000 and up, so that training has not seen it.
            limit_s: simulated time [s] after which an unfinished trial has failed.
            progress: called about ten times a second with the trial as it stands.
            task: name; empty: the one that is loaded.
            target: index of the object the instruction names; -1: drawn from the seed.

        Returns:
            The finished trial.

        Raises:
            DialError: a service refused or did not answer, or the graph died or stood still.
        """
        instruction = self._reset(seed, task, target)
        accepted = self.command(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=instruction))
        trial = self._trial
        trial.instruction, trial.instruction_id, trial.started_s = instruction, accepted.instruction_id, trial.now_s
        started = last_progress = time.monotonic()
        while trial.sim_s < limit_s and not trial.success:
            self.spin_once()
            trial.success = self._judged is True and trial.now_s - self._judged_s >= SUCCESS_HELD_S
            now = time.monotonic()
            trial.wall_s = now - started
            if now - last_progress > 0.1:
                last_progress = now
                progress(trial)
            if trial.wall_s > 60 + 20 * limit_s:
                raise DialError(f"the simulation hardly moves: {trial.sim_s:.1f} s in {trial.wall_s:.0f} s; is the machine busy elsewhere?")
        progress(trial)
        return trial

    def _reset(self, seed: int, task: str, target: int) -> str:
        """Resets the world to the scene; returns its instruction once every node has noticed that the clock jumped back."""
        self.wait_until(lambda: self._trial.now_s > SETTLED_S, 60.0, "the simulated clock to advance")
        before_s = self._trial.now_s
        self._trial, self._judged = Trial(seed, task), None
        request = ResetWorld.Request(task=task, seed=seed, target=target)
        instruction = self.command(ResetWorld, "mujoco_robot/reset", request).instruction
        # System-1 disarms on the jump. An instruction sent before it noticed would be dropped with the old buffers.
        self._trial = Trial(seed, task)

        def noticed() -> bool:
            reports = (self._trial.system1[-1:], self._trial.system2[-1:])
            stamps = [to_ns(report[0].stamp) / NANOSECONDS for report in reports if report]
            jumped = len(stamps) == 2 and all(stamp < before_s - JUMP_S for stamp in stamps)
            disarmed = jumped and self._trial.system1[-1].state == System1Status.STATE_DISARMED
            return disarmed and self._judged is False and 0 < self._trial.now_s < before_s - JUMP_S

        self.wait_until(noticed, 20.0, "system1 and system2 to notice the reset of the clock")
        self._trial.rejected_trajectories.clear()  # left over from before the reset
        return instruction

    def _on_ego(self, message: Image) -> None:
        self._trial.now_s = to_ns(message.header.stamp) / NANOSECONDS
        if self._recording:
            self._trial.ego.append(TrialFrame(self._trial.now_s, image_from_message(message)))

    def _on_scene(self, message: Image) -> None:
        self._trial.scene.append(TrialFrame(to_ns(message.header.stamp) / NANOSECONDS, image_from_message(message)))

    def _on_foresight(self, message: LatentForesight) -> None:
        tokens = np.array(foresight_from_message(message).tokens, np.float32)
        record = ForesightRecord(to_ns(message.header.stamp) / NANOSECONDS, to_ns(message.publish_stamp) / NANOSECONDS, tokens)
        self._trial.foresights.append(record)

    def _on_success(self, message: Bool) -> None:
        self._judged, self._judged_s = message.data, self._trial.now_s

    def _on_rejected(self, message: String) -> None:
        self._trial.rejected_trajectories.append(message.data)
