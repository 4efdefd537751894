"""A visitor's actions: service calls to the nodes, with a log."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from geometry_msgs.msg import Twist
from rclpy.node import Node
from std_msgs.msg import Float32
from std_srvs.srv import SetBool, Trigger

from dial_core.checkpoint.trained_on import means_stop
from dial_core.errors import DialError
from dial_core.sim.task import require_training_seed
from dial_ros.node import qos
from dial_ros.operator.jog_keys import JogKeys
from dial_ros.srv import ResetWorld, SetInstruction, StartEpisode, StepWorld, StopEpisode

STOP_ACKNOWLEDGED_S = 0.5  # a stop that System-1 has not acknowledged by then is shouted
JOG_PAUSE_S = 2.0  # after which pressed keys are logged again
ANSWER_S = 5.0  # anything else that has no answer by then failed
LONGEST_TEXT = 500  # [characters] of an instruction; System-2 has a limit of its own


@dataclass(frozen=True)
class Answer:
    """The result of an action: whether it was granted, the reason in words, and how long it took [s]."""

    granted: bool
    text: str
    seconds: float


OnAnswer = Callable[[Answer], None]


@dataclass(frozen=True)
class Scene:
    """A scene to reset the simulation to. An empty task: the loaded one; target -1: the object that the seed draws."""

    task: str = ""
    seed: int = 0
    target: int = -1


class ActionLog:
    """A file with one JSON line per action: time, who, answer. Safe to use from several threads.

    No action depends on it: a disk that is full or gone is reported in `failure` and raises nothing.

    Attributes:
        failure: why the last line could not be written, and where; empty if it was.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.failure = file, ""
        self._lock = threading.Lock()
        self._append("")  # what will not work is known before the first action

    def note(self, who: str, action: str, answer: Answer) -> None:
        """Appends a line and flushes it."""
        row = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "who": who, "action": action, "granted": answer.granted}
        row |= {"answer": answer.text, "seconds": round(answer.seconds, 3)}
        self._append(json.dumps(row) + "\n")

    def _append(self, line: str) -> None:
        with self._lock:
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with self.file.open("ab+") as file:
                    if line and _torn(file):
                        line = "\n" + line
                    file.write(line.encode())
            except OSError as error:
                self.failure = f"{self.file}: {error.strerror or error}"
            else:
                self.failure = ""


def _torn(file: IO[bytes]) -> bool:
    """Whether a file, open at its end, ends within a line: a disk that was full took only a part of it."""
    if not file.tell():
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _first_cause(error: BaseException) -> str:
    """The error in words, as one line; of one that only says that another was raised, that other one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())


class Actions:
    """Requests to the nodes. Each returns at once; the caller's function is called once, with the answer or with its absence."""

    def __init__(self, node: Node, log: ActionLog, read_only: bool) -> None:
        self._node, self._log, self.read_only = node, log, read_only
        self._kinds: dict[str, Any] = {
            "system2/set_instruction": SetInstruction,
            "system1/pause": SetBool,
            "system1/estop": Trigger,
            "system1/reset_estop": Trigger,
            "mujoco_robot/reset": ResetWorld,
            "mujoco_robot/set_pause": SetBool,
            "mujoco_robot/step": StepWorld,
            "recorder/start_episode": StartEpisode,
            "recorder/stop_episode": StopEpisode,
            "recorder/discard_episode": Trigger,
            "teleoperation/stop": Trigger,
            "teleoperation/reset_stop": Trigger,
        }
        self._twist_out = node.create_publisher(Twist, "teleoperation/twist", qos.LATEST)
        self._grip_out = node.create_publisher(Float32, "teleoperation/grip", qos.LATEST)
        self._jogged_s = -1e9
        self._clients = {service: node.create_client(kind, service) for service, kind in self._kinds.items()}

    def available(self, service: str) -> bool:
        """Whether a node offers `service`."""
        return self._clients[service].service_is_ready()

    @property
    def log_failure(self) -> str:
        """Why actions are not written down, and where; empty if they are."""
        return self._log.failure

    @property
    def teleoperated(self) -> bool:
        """Whether the robot is moved by teleoperation: that node is there, and System-1 is not."""
        return self.available("teleoperation/stop") and not self.available("system1/estop")

    def stop(self, who: str, on_answer: OnAnswer) -> None:
        """The emergency stop; spectators may too. Without an acknowledgement in 0.5 s the answer says so."""
        self._request(
            "teleoperation/stop" if self.teleoperated else "system1/estop",
            Trigger.Request(),
            who,
            "emergency stop",
            on_answer,
            STOP_ACKNOWLEDGED_S,
        )

    def reset_stop(self, who: str, on_answer: OnAnswer) -> None:
        """Takes the emergency stop back; only a new instruction moves the robot then."""
        self._unless_read_only(
            "teleoperation/reset_stop" if self.teleoperated else "system1/reset_estop", Trigger.Request(), who, "reset stop", on_answer
        )

    def pause(self, who: str, paused: bool, on_answer: OnAnswer) -> None:
        """Decelerates to a stop, or resumes."""
        self._unless_read_only("system1/pause", SetBool.Request(data=paused), who, "pause" if paused else "resume", on_answer)

    def instruct(self, who: str, text: str, on_answer: OnAnswer) -> None:
        """Gives an instruction; words that mean a stop pause the robot instead of arming it."""
        text = text.strip()
        if means_stop(text):
            self.pause(who, True, on_answer)
        elif not text or len(text) > LONGEST_TEXT:
            on_answer(Answer(False, f"an instruction has 1 to {LONGEST_TEXT} characters, this one {len(text)}", 0.0))
        else:
            self._unless_read_only("system2/set_instruction", SetInstruction.Request(text=text), who, f"instruct: {text}", on_answer)

    def reset_world(self, who: str, scene: Scene, on_answer: Callable[[Answer, str], None]) -> None:
        """A fresh scene in simulation; `on_answer` also gets the scene's own instruction.

        Of a teleoperated robot one for training only: what is shown there by hand becomes demonstrations.
        """
        if self.teleoperated:
            try:
                require_training_seed(scene.seed)
            except DialError as error:
                on_answer(Answer(False, str(error), 0.0), "")
                return
        request = ResetWorld.Request(task=scene.task, seed=scene.seed, target=scene.target)
        instruction: list[str] = [""]
        self._unless_read_only(
            "mujoco_robot/reset",
            request,
            who,
            f"reset world: {scene.task or 'same task'}, seed {scene.seed}, target {scene.target}",
            lambda answer: on_answer(answer, instruction[0]),
            lambda response: instruction.__setitem__(0, response.instruction),
        )

    def pause_world(self, who: str, paused: bool, on_answer: OnAnswer) -> None:
        """Halts simulated time, or lets it run."""
        action = "pause simulation" if paused else "run simulation"
        self._unless_read_only("mujoco_robot/set_pause", SetBool.Request(data=paused), who, action, on_answer)

    def step_world(self, who: str, steps: int, on_answer: OnAnswer) -> None:
        """Advances a paused simulation by `steps` controller periods."""
        self._unless_read_only("mujoco_robot/step", StepWorld.Request(steps=steps), who, f"step simulation by {steps}", on_answer)

    def jog(self, who: str, motion: JogKeys) -> None:
        """Sends velocities of the teleoperated hand, which hold for the node's `deadman`; the first after a pause is logged."""
        if self.read_only or not self.teleoperated:
            return
        if time.monotonic() - self._jogged_s > JOG_PAUSE_S and not motion.still:
            self._note(who, "teleoperate", Answer(True, "keys pressed", 0.0))
        self._jogged_s = time.monotonic()
        twist = Twist()
        twist.linear.x, twist.linear.y, twist.linear.z = motion.velocity
        twist.angular.z = motion.turn_rad_per_s
        self._grip_out.publish(Float32(data=motion.grip_per_s))
        self._twist_out.publish(twist)

    def start_episode(self, who: str, instruction: str, on_answer: OnAnswer) -> None:
        """Begins a recording; an empty instruction: the current one."""
        request = StartEpisode.Request(instruction=instruction)
        self._unless_read_only("recorder/start_episode", request, who, "start episode", on_answer)

    def stop_episode(self, who: str, outcome: int, note: str, on_answer: OnAnswer) -> None:
        """Ends the recording with an outcome of StopEpisode."""
        request = StopEpisode.Request(outcome=outcome, note=note[:LONGEST_TEXT])
        self._unless_read_only("recorder/stop_episode", request, who, f"stop episode, outcome {outcome}", on_answer)

    def discard_episode(self, who: str, on_answer: OnAnswer) -> None:
        """Removes the episode that is being recorded, or the last one."""
        self._unless_read_only("recorder/discard_episode", Trigger.Request(), who, "discard episode", on_answer)

    def _note(self, who: str, action: str, answer: Answer) -> None:
        self._log.note(who, action, answer)
        if self._log.failure:
            self._node.get_logger().warning(f"actions are not written down: {self._log.failure}", throttle_duration_sec=5.0)

    def _unless_read_only(
        self, service: str, request: Any, who: str, action: str, on_answer: OnAnswer, keep: Callable[[Any], None] = lambda _: None
    ) -> None:
        if self.read_only:
            answer = Answer(False, "this page is for spectators: only the emergency stop works here", 0.0)
            on_answer(answer)
            self._note(who, action, answer)
            return
        self._request(service, request, who, action, on_answer, ANSWER_S, keep)

    def _request(
        self,
        service: str,
        request: Any,
        who: str,
        action: str,
        on_answer: OnAnswer,
        limit_s: float,
        keep: Callable[[Any], None] = lambda _: None,
    ) -> None:
        asked_s = time.monotonic()
        lock, answered = threading.Lock(), threading.Event()

        def report(granted: bool, text: str) -> None:
            answer = Answer(granted, text, time.monotonic() - asked_s)
            on_answer(answer)  # first: a disk that answers late must not delay an acknowledgement
            self._note(who, action, answer)

        def done(future: Any) -> None:
            response = future.result()
            with lock:
                late = answered.is_set()
                answered.set()
            clock.cancel()
            if response is None:
                return
            keep(response)
            path = Path(getattr(response, "path", "")).name
            report(bool(response.success), response.message or path or ("accepted" if response.success else "refused"))
            if late:
                self._node.get_logger().warning(f"{service} answered after {time.monotonic() - asked_s:.1f} s")

        def expired() -> None:
            with lock:
                if answered.is_set():
                    return
                answered.set()
            missing = "" if self._clients[service].service_is_ready() else "; no node offers it"
            report(False, f"NOT ACKNOWLEDGED: {service} has not answered in {limit_s:g} s{missing}")

        # Wall time, whatever a simulated clock does.
        clock = threading.Timer(limit_s, expired)
        clock.daemon = True
        clock.start()
        try:
            future = self._clients[service].call_async(request)
        except Exception as error:  # a number too large for its field, a character that is none of UTF-8: each raises something else
            with lock:
                answered.set()
            clock.cancel()
            report(False, f"not sent to {service}: {_first_cause(error)}")
            return
        future.add_done_callback(done)
