"""One bag, read once: whole observations by stamp, commands by controller, and when everything arrived. No pixels yet.

Observations are formed as the live System-1 forms them (dial_core.observation.readings): a frame of the first camera with
the joints and the further cameras' frames of its moment or shortly before.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError
from dial_core.observation.readings import CAMERA_GAP_S, JOINT_GAP_S, JointHistory, JointOrder, StampedHistory
from dial_core.robot.embodiment import Camera, Embodiment

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
JOINT_STATES = ("sensor_msgs/msg/JointState",)


@dataclass(frozen=True)
class Sighting:
    """An observation without its pixels. `frames`: the number of each camera's message in its topic, in the order of the cameras."""

    stamp_ns: int
    joints: np.ndarray
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Command:
    """What one controller was told, from when on [ns] it knew."""

    known_ns: int
    controller: str
    request: TrajectoryRequest


@dataclass
class Timeline:
    """A bag as the conversion needs it.

    Attributes:
        sightings: in order of their stamps.
        commands: in order of arrival.
        stamps: of every message's header, by topic [ns].
        delays: log time minus stamp, by topic [s].
        incomplete: frames without joints or without a further camera's frame of their moment.
        instruction: of the topic, the last one; empty if there was none.
    """

    sightings: list[Sighting] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    stamps: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    incomplete: int = 0
    instruction: str = ""


@dataclass(frozen=True)
class Streams:
    """Which topics of a bag are what. `images` in the order of the cameras; `commands`: topic -> controller."""

    images: tuple[str, ...]
    joints: str
    commands: dict[str, str]
    instruction: str | None

    @property
    def all(self) -> set[str]:
        """All topics that are read."""
        return {*self.images, self.joints, *self.commands, *filter(None, [self.instruction])}


def find_streams(bag: Bag, embodiment: Embodiment, cameras: Sequence[Camera]) -> Streams:
    """The topics of a robot in a bag, whatever namespace it was recorded in.

    Raises:
        BagError: a camera or the joint states were not recorded, or have another type.
    """
    images = tuple(
        _required(bag, [f"{topic}{ending}" for ending in ("", "/compressed") for topic in (f"image/{camera.name}", camera.topic)], IMAGES)
        for camera in cameras
    )
    joints = _required(bag, ["joint_states", embodiment.joint_states_topic], JOINT_STATES)
    named = {controller.name: _found(bag, (f"{controller.name}/joint_trajectory",)) for controller in embodiment.controllers}
    commands = {topic: name for name, topic in named.items() if topic is not None}
    return Streams(images, joints, commands, _found(bag, ("instruction",)))


def read_timeline(bag: Bag, streams: Streams, embodiment: Embodiment) -> Timeline:
    """Reads a whole bag in order of arrival.

    Raises:
        DialError: a message cannot be read, a joint is missing, or a clock went back.
    """
    timeline = Timeline()
    order, joints = JointOrder(embodiment.joint_names), JointHistory()
    counts: dict[str, int] = defaultdict(int)
    others: dict[str, StampedHistory[int]] = {topic: StampedHistory() for topic in streams.images[1:]}
    for topic, log_ns, data in bag.messages(streams.all):
        if topic == streams.instruction:
            timeline.instruction = bag.decode(topic, data).text
            continue
        stamp_ns = header_stamp(data)
        if topic in streams.commands:
            request = TrajectoryRequest.from_message(_unwrapped(bag.decode(topic, data)))
            # A recorder on simulated time may lag behind: nothing is known before it was stamped.
            timeline.commands.append(Command(max(log_ns, stamp_ns), streams.commands[topic], request))
            continue
        before_ns = timeline.stamps[topic][-1] if timeline.stamps[topic] else stamp_ns - 1
        number = counts[topic]
        counts[topic] += 1
        if stamp_ns == before_ns:
            continue  # a repeated message; the live node skips it too
        if stamp_ns < before_ns:
            back_s = (before_ns - stamp_ns) / NANOSECONDS
            raise BagError(f"the stamps of {topic} go back by {back_s:.3f} s; was the clock set while recording?")
        timeline.stamps[topic].append(stamp_ns)
        timeline.delays[topic].append((log_ns - stamp_ns) / NANOSECONDS)
        if topic == streams.joints:
            joints.add(stamp_ns, order.positions(bag.decode(topic, data)))
        elif topic in others:
            others[topic].add(stamp_ns, number)
        else:
            measured = joints.at(stamp_ns, JOINT_GAP_S)
            further = [history.at(stamp_ns, CAMERA_GAP_S) for history in others.values()]
            if measured is None or None in further:
                timeline.incomplete += 1
            else:
                timeline.sightings.append(Sighting(stamp_ns, measured, (number, *(int(n) for n in further if n is not None))))
    timeline.commands.sort(key=lambda command: command.known_ns)
    return timeline


def header_stamp(data: bytes) -> int:
    """The stamp [ns] of a message that begins with a header, from its CDR bytes; a picture need not be decoded for it."""
    if len(data) < 12:
        raise DialError(f"a message of {len(data)} bytes has no header; the bag is damaged")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * NANOSECONDS + nanoseconds


def _unwrapped(trajectory: Any) -> Any:
    """A JointTrajectory of rosbags with plain lists, as rclpy's has."""
    for point in trajectory.points:
        point.__dict__["positions"] = point.positions.tolist()
        point.__dict__["velocities"] = point.velocities.tolist()
        point.__dict__["effort"] = point.effort.tolist()
    return trajectory


def _found(bag: Bag, names: Sequence[str]) -> str | None:
    for name in dict.fromkeys(names):
        bare = name.lstrip("/")
        fitting = [topic for topic in bag.topics if topic == f"/{bare}"] or [topic for topic in bag.topics if topic.endswith(f"/{bare}")]
        if len(fitting) > 1:
            raise BagError(f"several topics could be {bare}: {', '.join(sorted(fitting))}; record one robot a bag")
        if fitting:
            return fitting[0]
    return None


def _required(bag: Bag, names: Sequence[str], kinds: Sequence[str]) -> str:
    topic = _found(bag, names)
    if topic is None:
        wanted = " or ".join(dict.fromkeys(f"/{name.lstrip('/')}" for name in names))
        raise BagError(f"no topic {wanted}; the bag has {', '.join(sorted(bag.topics)) or 'none'}")
    if bag.topics[topic].type not in kinds:
        raise BagError(f"topic {topic} has type {bag.topics[topic].type}, expected {' or '.join(kinds)}")
    return topic
