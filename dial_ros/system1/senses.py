"""System-1's observations: every camera of its checkpoint and the joints, matched by their stamps.

A frame of the first camera is whole if a joint state and a frame of every further camera lie at its moment or shortly
before. Only whole frames count as fresh, nothing missing is ever filled in: what is not there makes the robot hold.

Messages of one moment arrive in any order. So a frame waits while something is missing, or while what a stream has is so old
that its next message is due by the frame's moment: at most `joint_gap` and `camera_gap`, and only until the next frame. A
stream that already has a later message has nothing more to give.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import JointState

from dial_core.checkpoint.contract import Contract
from dial_core.control.arming import Input
from dial_core.control.joint_limits import Guard
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.control.robot_check import missing_from_states
from dial_core.observation.joint_agreement import JointAgreement
from dial_core.observation.joint_range import JointRange
from dial_core.observation.readings import JointHistory, UnreadableMessageError
from dial_core.observation.split_joint_states import SplitJointStates
from dial_core.robot.embodiment import Embodiment
from dial_ros.node.cameras import FUTURE_TOLERANCE_S, CameraInput, Frame
from dial_ros.node.joint_state_input import JointStateInput
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.rates import Rate, StampedStream

PARTS_ARRIVE_S = 1.0  # of wall time after the first joint state: by then every broadcaster has published
REFUSED = ("image", "joint_states", "joints_of_frame", "cameras_of_frame")


@dataclass(frozen=True)
class SensedFrame:
    """What one chunk starts from: a frame of every camera, in the contract's order, and the joints (J,) [rad] of that moment."""

    frames: tuple[Frame, ...]
    joints: np.ndarray
    stamp_ns: int
    received_ns: int


class Senses:
    """Cameras and joints of System-1 while it is configured; `on_observation` is called with every whole frame."""

    def __init__(
        self,
        node: DialNode,
        contract: Contract,
        embodiment: Embodiment,
        on_joint_stamp: Callable[[int], None],
        on_observation: Callable[[SensedFrame], None],
    ) -> None:
        self._node, self._on_joint_stamp, self._on_observation = node, on_joint_stamp, on_observation
        self._embodiment, self._states = embodiment, SplitJointStates(embodiment.joint_names, node.value("joint_gap"))
        self._reported: list[str] | None = None  # the names in the joint states of the last moment, active or not
        self._first_received_s: float | None = None  # wall time of the first joint state
        self.misfit = ""  # which joints of which controllers they lack
        transport = node.value("image_transport")
        self._cameras = [
            CameraInput(
                node,
                view,
                embodiment.camera(view.name),
                transport,
                self._on_first_frame if index == 0 else self._on_further_frame,
                lambda why: self._refuse("image", "camera", why),
                node.value("frozen_timeout"),
            )
            for index, view in enumerate(contract.views)
        ]
        self._joint_topics = list(embodiment.joint_states_topics)
        self._joints_in = JointStateInput(node, self._joint_topics, self._on_joint_states)
        self.joint_stamps, self.joint_rate = StampedStream(), Rate()
        self._joints, self._whole = JointHistory(), StampedStream()
        self._waiting: Frame | None = None  # of the first camera, for what else belongs to its moment
        self.newest_joints: tuple[int, np.ndarray] | None = None  # stamp [ns] and positions (J,) [rad]
        self.refused: Counter[str] = Counter()
        self.last_refusal = ""
        self._agreement = JointAgreement(embodiment.joint_names, embodiment.velocity)
        self._range = JointRange(embodiment)
        self._refusals: dict[str, str] = {}  # input -> why its last value was not taken, until one is

    @property
    def listened(self) -> bool:
        """Whether every joint was reported, active or not, or enough time for that has passed since the first joint state."""
        if self._first_received_s is None:
            return False
        return not self.misfit or time.monotonic() - self._first_received_s > PARTS_ARRIVE_S

    @property
    def first_camera(self) -> CameraInput:
        """The camera whose frames give the rhythm."""
        return self._cameras[0]

    def inputs(self, now_ns: int) -> dict[str, Input]:
        """Camera and joints as the state machine judges them."""
        joints_age_s, joints_refused = self.joint_stamps.age_s(now_ns), self._refusals.get("joint_states", "")
        if why := self._joint_conflict(now_ns) or self._range.complaint:
            joints_age_s, joints_refused = None, why
        return {
            "camera": Input(self._whole.age_s(now_ns), self._node.value("camera_timeout"), self._refusals.get("camera", "")),
            "joint_states": Input(joints_age_s, self._node.value("joint_timeout"), joints_refused),
        }

    def pixels(self, seen: SensedFrame) -> tuple[np.ndarray, ...] | None:
        """Every camera's image of an observation, (H, W, 3) uint8 each; None, and a logged refusal, if one cannot be decoded."""
        try:
            return tuple(camera.pixels(frame) for camera, frame in zip(self._cameras, seen.frames, strict=True))
        except UnreadableMessageError as error:
            self._refuse("image", "camera", str(error))
            return None

    def use_limits(self, limits: Guard) -> None:
        """The limits in use, without margins, have changed: joints are compared with these."""
        self._range.use_limits(limits.lower, limits.upper)

    def clear(self) -> None:
        """Drops what was received (the clock jumped, a pause ended); the counters stay."""
        for camera in self._cameras:
            camera.clear()
        for part in (self.joint_stamps, self.joint_rate, self._joints, self._states, self._whole, self._agreement):
            part.clear()
        self._refusals.clear()
        self.newest_joints = self._waiting = None

    def reset(self) -> None:
        """As new (activation)."""
        self.clear()
        self.refused.clear()
        self.last_refusal = ""
        self.first_camera.arrivals.lost = 0

    def warm_up(self) -> None:
        """Decodes and fits an image of every camera, see `CameraInput.warm_up`."""
        for camera in self._cameras:
            camera.warm_up()

    def close(self) -> None:
        """Ends the subscriptions."""
        for camera in self._cameras:
            camera.close()
        self._joints_in.close()

    def _on_joint_states(self, messages: Sequence[JointState]) -> None:
        self._on_joint_stamp(to_ns(messages[-1].header.stamp))
        self._first_received_s = self._first_received_s or time.monotonic()
        taken = [self._take_joints(message) for message in messages]
        if any(taken):
            self._settle()

    def _take_joints(self, message: JointState) -> bool:
        """Takes in a joint state; False: the joints are not known better by it."""
        stamp_ns, now_ns = to_ns(message.header.stamp), self._node.now_ns()
        unreadable, positions = "", None
        try:
            positions = self._states.take(stamp_ns, message)
        except UnreadableMessageError as error:
            unreadable = str(error)
        if self._states.reported != self._reported:
            self._reported = self._states.reported
            self.misfit = missing_from_states(self._embodiment, self._reported)
        if positions is not None:
            self._range.note(self._states.newest_ns, positions)
        if not self._node.active:
            return False
        if unreadable or self.misfit:
            self._refuse("joint_states", "joint_states", unreadable or self.misfit)
            return False
        if positions is None:
            return False  # of other joints
        ahead_s = (stamp_ns - now_ns) / NANOSECONDS
        if ahead_s > FUTURE_TOLERANCE_S:
            self._refuse("joint_states", "joint_states", f"joint state is stamped {ahead_s:.2f} s in the future; synchronise the clocks")
            return False
        self._refusals.pop("joint_states", None)
        newest_ns = self._states.newest_ns
        if self.joint_stamps.take(newest_ns):
            self.joint_rate.tick(now_ns)
        self._joints.add(newest_ns, positions)
        self.newest_joints = newest_ns, positions
        self._agreement.note(stamp_ns, self._states.part)
        return True

    def _joint_conflict(self, now_ns: int) -> str:
        """Which nodes publish joint states that cannot be of one robot; empty: none. Several that agree are fine."""
        why = self._agreement.disagreement(now_ns)
        sources = sorted({name for topic in self._joint_topics for name in self._node.publisher_names(topic)}) if why else []
        return f"{' and '.join(sources)} publish joint states that disagree: {why}" if len(sources) > 1 else ""

    def _on_first_frame(self, frame: Frame) -> None:
        if self._waiting is not None:
            self._join(self._waiting)
        self._waiting = frame
        self._settle()

    def _on_further_frame(self, frame: Frame) -> None:
        self._settle()

    def _settle(self) -> None:
        """Joins the frame that waits, unless something that belongs to it may still arrive."""
        frame = self._waiting
        if frame is not None and not self._incomplete(frame):
            self._waiting = None
            self._join(frame)

    def _incomplete(self, frame: Frame) -> bool:
        """Whether a stream may still have a message nearer to the frame's moment, and the frame has not waited for it too long."""
        joint_gap_s, camera_gap_s = self._node.value("joint_gap"), self._node.value("camera_gap")
        waited_s = (self._node.now_ns() - frame.received_ns) / NANOSECONDS
        parts = [(self.joint_stamps, joint_gap_s, self._joints.at(frame.stamp_ns, joint_gap_s) is None)]
        parts += [(each.arrivals, camera_gap_s, each.before(frame.stamp_ns, camera_gap_s) is None) for each in self._cameras[1:]]
        return any(
            waited_s < gap_s
            and (stream.newest_ns is None or stream.newest_ns < frame.stamp_ns)
            and (missing or stream.due_by(frame.stamp_ns))
            for stream, gap_s, missing in parts
        )

    def _join(self, frame: Frame) -> None:
        """Passes a frame on with what belongs to its moment, or counts and names what is missing."""
        stamp_ns, stamp_s = frame.stamp_ns, frame.stamp_ns / NANOSECONDS
        joint_gap_s, camera_gap_s = self._node.value("joint_gap"), self._node.value("camera_gap")
        joints = self._joints.at(stamp_ns, joint_gap_s)
        if joints is None:
            self._refuse("joints_of_frame", "camera", f"no joint state within {joint_gap_s} s before the frame at {stamp_s:.3f} s")
            return
        frames = [frame]
        for camera in self._cameras[1:]:
            other = camera.before(stamp_ns, camera_gap_s)
            if other is None:
                why = f"no frame of camera '{camera.view.name}' within {camera_gap_s} s before the frame at {stamp_s:.3f} s"
                self._refuse("cameras_of_frame", "camera", why)
                return
            frames.append(other)
        self._refusals.pop("camera", None)
        self._whole.take(stamp_ns)
        self._on_observation(SensedFrame(tuple(frames), joints, stamp_ns, frame.received_ns))

    def _refuse(self, kind: str, affected: str, why: str) -> None:
        """Counts and logs why something could not be used, and which input lacks it."""
        self.refused[kind] += 1
        self._refusals[affected] = self.last_refusal = why
        self._node.complain(kind, why)
