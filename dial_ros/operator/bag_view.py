"""A recorded bag in the form in which the page shows a robot: its state at one moment, and what happened after it."""

from __future__ import annotations

import bisect
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.observation.readings import UnreadableMessageError, image_from_message
from dial_core.observation.split_joint_states import SplitJointStates
from dial_core.robot.embodiment import Embodiment
from dial_ros.operator.charts import AHEAD_S, ERRORS_SHOWN_S
from dial_ros.operator.commanded_motion import HISTORY_S, CommandedMotion
from dial_ros.operator.robot_view import Seen, data_url

JOINT_STATE = "sensor_msgs/msg/JointState"
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
FRAME_GAP_S = 0.09  # frames closer than this to the one before are not kept
SAMPLED = 4  # every so many-th joint state is enough for curves and means
TILE_PX = 16  # of one image token
ABSENT_FROM_OLDER = {"foresight_age_of_chunk": -1.0}  # fields of System1Status that older bags do not define -> unknown
COLOURS = 3  # directions in which tokens are drawn: fewer tokens or dimensions have none


@dataclass
class Track:
    """Values of one topic in the order of their log time [ns]."""

    times_ns: list[int]
    values: list[Any]

    def add(self, time_ns: int, value: Any) -> None:
        """Appends a value."""
        self.times_ns.append(time_ns)
        self.values.append(value)

    def at(self, time_ns: int) -> Any:
        """The last value at `time_ns` or before; None before the first."""
        place = bisect.bisect_right(self.times_ns, time_ns)
        return self.values[place - 1] if place else None

    def newest_ns(self, time_ns: int) -> int | None:
        """Log time of the last value at `time_ns` or before; None before the first."""
        place = bisect.bisect_right(self.times_ns, time_ns)
        return self.times_ns[place - 1] if place else None

    def between(self, begin_ns: int, end_ns: int) -> list[tuple[int, Any]]:
        """Times and values from `begin_ns` to `end_ns`, both included."""
        span = slice(bisect.bisect_left(self.times_ns, begin_ns), bisect.bisect_right(self.times_ns, end_ns))
        return list(zip(self.times_ns[span], self.values[span], strict=True))


class MeasuredJoints:
    """Joint states of a robot, merged from parts as System-1 merges them."""

    def __init__(self, embodiment: Embodiment) -> None:
        self.track = Track([], [])  # of the robot's time [ns] and all positions (J,) [rad] by log time
        self._states = SplitJointStates(embodiment.joint_names)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Joints that the newest messages did not report."""
        return self._states.lacking

    def add(self, log_ns: int, message: Any) -> None:
        """Takes a JointState; one of another device of the same robot changes nothing."""
        try:
            positions = self._states.take(to_ns(message.header.stamp), message)
        except UnreadableMessageError:
            return
        if positions is not None:
            self.track.add(log_ns, (self._states.newest_ns, positions))


class BagView:
    """Reads a bag once; `seek` and `poll` then set `seen` and `commanded` to a moment of it."""

    def __init__(self, folder: Path, embodiment: Embodiment) -> None:
        """Reads joints, trajectories, images, foresights and states.

        Raises:
            BagError: there is no bag, nothing of it can be read, or it has no joint states of this robot.
        """
        self.facts: dict[str, str] = {}
        self.seen, self.commanded = Seen(clock_s=lambda: self.position_s), CommandedMotion(embodiment)
        self.playing, self.speed = False, 1.0
        self.embodiment = embodiment
        self._frames, self._foresights, self._system1, self._system2, self._errors, self._unchanged, self._success = (
            Track([], []) for _ in range(7)
        )
        self._sent: dict[str, Track] = {controller.name: Track([], []) for controller in embodiment.controllers}
        self._colours: dict[str, Any] = {}  # instruction -> basis
        own, other = MeasuredJoints(embodiment), MeasuredJoints(embodiment)
        self._read(Bag(folder), own, other)
        self._joints = (own if own.track.times_ns else other).track
        if not self._joints.times_ns:
            lacking = f" (missing: {', '.join(other.lacking)})" if len(other.lacking) < len(embodiment.joints) else ""
            raise BagError(f"{folder} has no joint states of {embodiment.name}{lacking}: nothing can be shown; give --robot")
        self._begin_ns, self._end_ns = self._joints.times_ns[0], self._joints.times_ns[-1]
        self.position_s = 0.0
        self._polled_s = time.monotonic()
        self.seek(0.0)

    @property
    def duration_s(self) -> float:
        """From the first joint state to the last [s]."""
        return (self._end_ns - self._begin_ns) / NANOSECONDS

    @property
    def chunks_s(self) -> list[float]:
        """When trajectories were sent [s from the beginning], those of all controllers at once counted once."""
        times_s = sorted({(at_ns - self._begin_ns) / NANOSECONDS for track in self._sent.values() for at_ns in track.times_ns})
        return [at_s for k, at_s in enumerate(times_s) if k == 0 or at_s - times_s[k - 1] > 0.02]

    def watch(self, wanted: bool) -> None:
        """Stops playing when no visitor watches any more."""
        self.playing = self.playing and wanted

    def poll(self, period_s: float) -> None:
        """Moves on by the wall time that has passed, while playing."""
        now_s = time.monotonic()
        if now_s - self._polled_s < period_s / 2:
            return
        passed_s, self._polled_s = now_s - self._polled_s, now_s
        if self.playing:
            self.seek(self.position_s + min(passed_s, 0.5) * self.speed)
            self.playing = self.position_s < self.duration_s

    def seek(self, position_s: float) -> None:
        """Sets everything to `position_s` [s] after the beginning, within the bag."""
        self.position_s = float(np.clip(position_s, 0.0, self.duration_s))
        at_ns = self._begin_ns + round(self.position_s * NANOSECONDS)
        seen = self.seen
        around = self._joints.between(at_ns - round(HISTORY_S * NANOSECONDS), at_ns + round(AHEAD_S * NANOSECONDS))
        seen.joints = deque((stamp_ns, positions) for _, (stamp_ns, positions) in around)
        newest = self._joints.at(at_ns)
        seen.shown_ns = newest[0] if newest else None
        seen.camera = self._frames.at(at_ns) or ""
        seen.foresight = self._drawn(self._foresights.at(at_ns))
        seen.system1, seen.system2, seen.success = self._system1.at(at_ns), self._system2.at(at_ns), self._success.at(at_ns)
        reports = {"system1": self._system1.newest_ns(at_ns), "system2": self._system2.newest_ns(at_ns)}
        seen.received_s = {node: (t - self._begin_ns) / NANOSECONDS for node, t in reports.items() if t is not None}
        errors = self._errors.between(at_ns - round(ERRORS_SHOWN_S * NANOSECONDS), at_ns)
        seen.errors = deque(((t - self._begin_ns) / NANOSECONDS, error, self._unchanged.at(t) or 0.0) for t, error in errors)
        self._command(at_ns)

    def chunk_error(self) -> tuple[float, str, float] | None:
        """How far the robot was from the newest chunk afterwards.

        Returns:
            Mean distance over joints and time [rad], the joint with the largest mean, and its mean [rad]; None if nothing followed.
        """
        now_ns, end_ns = self.seen.robot_ns, self.commanded.end_ns
        if now_ns is None or end_ns is None:
            return None
        later = [(stamp_ns, positions) for stamp_ns, positions in self.seen.joints if now_ns < stamp_ns <= end_ns][::SAMPLED]
        targets = [self.commanded.target(stamp_ns) for stamp_ns, _ in later]
        if not later or any(target is None for target in targets):
            return None
        apart = np.abs(np.array(targets) - np.array([positions for _, positions in later]))
        commanded = ~np.isnan(apart).any(axis=0)
        means = np.where(commanded, np.nan_to_num(apart).mean(axis=0), 0.0)
        worst = int(np.argmax(means))
        return float(means[commanded].mean()), self.embodiment.joint_names[worst], float(means[worst])

    def _command(self, at_ns: int) -> None:
        """Replays the trajectories of the shown past: two of each controller and its commanded curve."""
        self.commanded.clear()
        begin_ns = at_ns - round((HISTORY_S + AHEAD_S) * NANOSECONDS)
        sent = [(t, name, message) for name, track in self._sent.items() for t, message in track.between(begin_ns, at_ns)]
        samples = iter(
            [stamp_ns for stamp_ns, _ in self.seen.joints if self.seen.shown_ns is None or stamp_ns <= self.seen.shown_ns][::SAMPLED]
        )
        shift_ns = (self.seen.shown_ns or at_ns) - at_ns  # from the recorder's clock to the robot's
        due = next(samples, None)
        for t, name, message in sorted(sent, key=lambda each: each[0]):
            while due is not None and due < t + shift_ns:
                self.commanded.advance(due)
                due = next(samples, None)
            self.commanded.note(name, message)
        while due is not None:
            self.commanded.advance(due)
            due = next(samples, None)

    def _drawn(self, foresight: tuple[str, np.ndarray] | None) -> str:
        if foresight is None:
            return ""
        from dial_core.viz import PcaColours  # scikit-learn, only where there are foresights

        instruction, tokens = foresight
        if instruction not in self._colours:
            same = [each for name, each in self._foresights.values if name == instruction]
            self._colours[instruction] = PcaColours.fit(same[:: max(1, len(same) // 20)])
        panel = self._colours[instruction].colours(tokens)
        return data_url(np.kron(panel, np.ones((TILE_PX, TILE_PX, 1), np.uint8)))

    def _read(self, bag: Bag, own: MeasuredJoints, other: MeasuredJoints) -> None:
        """Reads everything; `own` gets the joints on topics that the embodiment names, `other` those on all, perhaps a leader arm's too."""
        self.facts = bag.facts
        joints = [name for name, topic in bag.topics.items() if topic.type == JOINT_STATE]
        named_joints = set(own_topics(joints, self.embodiment))
        takes: dict[str, Callable[[int, Any], None]] = {}
        cameras = [name for name, topic in bag.topics.items() if topic.type in IMAGES and bag.counts.get(name)]
        named = [name for name in cameras if any(camera.topic.strip("/") in name for camera in self.embodiment.cameras)]
        ends: dict[str, Callable[[int, Any], None]] = {
            "system1/status": self._on_system1,
            "system2/status": self._system2.add,
            "mujoco_robot/success": lambda t, message: self._success.add(t, bool(message.data)),
            "foresight/error": lambda t, message: self._errors.add(t, float(message.data)),
            "foresight/unchanged_error": lambda t, message: self._unchanged.add(t, float(message.data)),
        }
        for name, topic in bag.topics.items():
            if topic.type == "trajectory_msgs/msg/JointTrajectory" and name.endswith("/joint_trajectory"):
                takes[name] = self._on_trajectory
            elif name in joints:
                takes[name] = partial(_take_joints, [own, other] if name in named_joints else [other])
            elif topic.type == "dial_ros/msg/LatentForesight":
                takes[name] = self._on_foresight
            elif name == next(iter([*named, *cameras]), None):
                takes[name] = self._on_frame
            elif end := next((end for end in ends if name.endswith(end)), None):
                takes[name] = ends[end]
        for name, log_ns, data in bag.messages(set(takes)):
            try:
                message = bag.decode(name, data)
            except BagError:
                continue  # a damaged message is skipped
            takes[name](log_ns, message)

    def _on_trajectory(self, log_ns: int, message: Any) -> None:
        for controller in self.embodiment.controllers:  # by its joints: controllers may be named otherwise on the robot
            if set(controller.joints) <= set(message.joint_names):
                self._sent[controller.name].add(log_ns, message)

    def _on_system1(self, log_ns: int, message: Any) -> None:
        for name, unknown in ABSENT_FROM_OLDER.items():
            if not hasattr(message, name):
                setattr(message, name, unknown)
        self._system1.add(log_ns, message)

    def _on_frame(self, log_ns: int, message: Any) -> None:
        if self._frames.times_ns and log_ns - self._frames.times_ns[-1] < FRAME_GAP_S * NANOSECONDS:
            return
        try:
            self._frames.add(log_ns, data_url(image_from_message(message)))
        except UnreadableMessageError:
            return

    def _on_foresight(self, log_ns: int, message: Any) -> None:
        shape = tuple(int(side) for side in message.shape)
        if len(shape) == 2 and message.dtype in ("float32", "float16"):
            tokens = np.frombuffer(bytes(message.data), np.dtype(message.dtype)).astype(np.float32)
            drawable = math.isqrt(max(shape[0], 0)) ** 2 == shape[0] and min(shape) >= COLOURS
            if tokens.size == shape[0] * shape[1] and drawable and np.isfinite(tokens).all():
                self._foresights.add(log_ns, (message.instruction_id, tokens.reshape(shape)))


def own_topics(topics: Sequence[str], embodiment: Embodiment) -> list[str]:
    """Which of a bag's topics of joint states are those of the embodiment, in whatever namespace: of several the shortest name."""
    found = []
    for names in embodiment.joint_states_topics.items():
        fitting = [topic for topic in topics if any(f"/{topic.lstrip('/')}".endswith(f"/{name.lstrip('/')}") for name in names)]
        found += sorted(fitting, key=len)[:1]
    return found


def _take_joints(measured: Sequence[MeasuredJoints], log_ns: int, message: Any) -> None:
    for each in measured:
        each.add(log_ns, message)
