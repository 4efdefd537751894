"""One bag, read once: whole observations by stamp, commands by controller, and when everything arrived. No pixels yet.

Observations are formed as the live System-1 forms them (dial_core.observation.readings): a frame of the first camera with
the joints and the further cameras' frames of its moment or shortly before. A message that cannot be used is left out and counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.importers.bag.clocks import CLOCK_SET_S, LONGEST_GAP_S, PAUSE_S, clock_of_stamps, clock_offset_s, header_stamp, passed_alike
from dial_core.importers.bag.command_messages import read_command
from dial_core.importers.bag.joint_merge import JointMerge
from dial_core.importers.bag.left_out import LeftOut
from dial_core.importers.bag.topic_streams import Streams
from dial_core.importers.reach import require_within_reach
from dial_core.observation.readings import CAMERA_GAP_S, JOINT_GAP_S, JointHistory, StampedHistory, UnreadableMessageError
from dial_core.robot.embodiment import Embodiment

T = TypeVar("T")


@dataclass(frozen=True)
class Sighting:
    """An observation without its pixels. `frames`: the number of each camera's message in its topic, in the order of the cameras."""

    stamp_ns: int
    joints: np.ndarray
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Command:
    """A command to one controller, and when it was received [ns]."""

    known_ns: int
    controller: str
    request: TrajectoryRequest


@dataclass
class Epoch:
    """A part of a recording in which the clock was not set, nor the recording paused.

    Attributes:
        paused_s: how long the recording paused before it; None: it is the first, or the clock was set.
        begins: how many stamps of each topic the timeline had before it.
        offset_s: by how much the recorder's clock, by which commands are dated, may be ahead of the stamps' [s].
        sightings: in order of their stamps.
        commands: in order of arrival.
        instructions: (number of sightings before it, text) of every instruction, that of the epoch before first; empty: it was cleared.
    """

    paused_s: float | None = None
    begins: dict[str, int] = field(default_factory=dict)
    offset_s: float = 0.0
    sightings: list[Sighting] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    instructions: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Timeline:
    """A bag as the conversion needs it.

    Attributes:
        epochs: one, and another one each time the clock was set or the recording paused.
        stamps: of every message's header, by topic [ns].
        delays: log time minus stamp, by topic [s].
        incomplete: frames without joints or without a further camera's frame of their moment.
        camera_ahead_s: where no frame has joints of its moment, how far the first camera's stamps lie after the joints' [s].
        left_out: messages that could not be used.
        unstamped: topics whose stamps are zero; their log times are used.
        unread: controllers that were commanded by messages of which not one could be used, and what is wrong with them.
    """

    epochs: list[Epoch] = field(default_factory=lambda: [Epoch()])
    stamps: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    incomplete: int = 0
    camera_ahead_s: float | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    unstamped: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def sightings(self) -> list[Sighting]:
        """Of all epochs."""
        return [sighting for epoch in self.epochs for sighting in epoch.sightings]

    @property
    def commands(self) -> list[Command]:
        """Of all epochs."""
        return [command for epoch in self.epochs for command in epoch.commands]


def read_timeline(
    bag: Bag, streams: Streams, embodiment: Embodiment, bad_frames: Mapping[str, Mapping[int, str]] | None = None
) -> Timeline:
    """Reads a whole bag in order of arrival. `bad_frames`: by topic, numbers of images that cannot be used, with the reason.

    Raises:
        DialError: no joint state holds, alone or with others, all joints.
    """
    reader = _Reader(bag, streams, embodiment, bad_frames or {})
    for topic, log_ns, data in bag.messages(streams.all):
        reader.timeline.left_out.begin(log_ns)
        try:
            reader.take(topic, log_ns, data)
        except (UnreadableMessageError, BagError) as error:
            reader.timeline.left_out.add(topic, str(error).removeprefix(f"{bag.folder}: topic {topic}: "), log_ns)
    return reader.finished()


class _Reader:
    """What is known while a bag is read."""

    def __init__(self, bag: Bag, streams: Streams, embodiment: Embodiment, bad_frames: Mapping[str, Mapping[int, str]]) -> None:
        self.timeline = Timeline()
        self._bag, self._streams, self._embodiment, self._bad = bag, streams, embodiment, bad_frames
        self._controllers = {controller.name: controller for controller in embodiment.controllers}
        self._sources = {source.topic: source for source in streams.joint_states}
        self._merge = JointMerge(embodiment.joint_names, embodiment.velocity)
        self._counts: Counter[str] = Counter()
        self._zero: set[str] = set()
        self._instruction: str | None = None
        self._log_ns: int | None = None  # the newest
        self._pause_ns: tuple[int, int] | None = None  # log times between which nothing came, the last time
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._joints = JointHistory()
        self._others: dict[str, StampedHistory[int]] = {topic: StampedHistory() for topic in self._streams.images[1:]}
        self._newest: dict[tuple[str, ...], tuple[int, int]] = {}  # stamp and log time [ns] of each publisher's last message
        self._jumps: dict[tuple[str, ...], int] = {}
        self._joined_ns = -(2**62)

    def take(self, topic: str, log_ns: int, data: bytes) -> None:
        """Adds one message. Raises UnreadableMessageError or BagError if it cannot be used."""
        number = self._counts[topic]
        self._counts[topic] += 1
        if self._log_ns is not None and log_ns - self._log_ns > PAUSE_S * NANOSECONDS:
            self._pause_ns = self._log_ns, log_ns
        self._log_ns = max(log_ns, self._log_ns or log_ns)
        epoch = self.timeline.epochs[-1]
        if topic == self._streams.instruction:
            message = self._bag.decode(topic, data)
            self._instruct((message.text if hasattr(message, "text") else message.data).strip())
        elif topic in self._streams.commands:
            message = self._bag.decode(topic, data)
            for source in self._streams.commands[topic]:
                request = read_command(message, source, self._controllers[source.controller])
                if request is not None:
                    epoch.commands.append(Command(log_ns, source.controller, request))
        elif topic in self._sources:
            message = self._bag.decode(topic, data)
            # Publishers that share a topic, each with its own joints, need not be in step with each other.
            stamp_ns = self._stamp(topic, (topic, *message.name), log_ns, data)
            positions = None if stamp_ns is None else self._merge.add(stamp_ns, message, self._sources[topic])
            if positions is not None:
                require_within_reach(positions, self._embodiment)
            if positions is not None and stamp_ns is not None:
                self._joined_ns = max(stamp_ns, self._joined_ns)
                self._joints.add(self._joined_ns, positions)
        elif (stamp_ns := self._stamp(topic, (topic,), log_ns, data)) is not None:
            self._observe(topic, stamp_ns, number)

    def _instruct(self, text: str) -> None:
        """Notes an instruction; an empty one before any other clears nothing."""
        if not text and self._instruction is None:
            return
        # What came before the first instruction gets it, whether or not a clock was set meanwhile.
        for epoch in self.timeline.epochs if self._instruction is None else self.timeline.epochs[-1:]:
            epoch.instructions.append((len(epoch.sightings), text))
        self._instruction = text

    def _stamp(self, topic: str, publisher: tuple[str, ...], log_ns: int, data: bytes) -> int | None:
        """The message's time, or None if it repeats the last one, which the live node skips too."""
        stamp_ns = header_stamp(data)
        if stamp_ns == 0:
            stamp_ns = self._unstamped(topic, log_ns)
        before_ns, before_log_ns = self._newest.get(publisher, (None, log_ns))
        if before_ns is not None and not 0 <= stamp_ns - before_ns <= LONGEST_GAP_S * NANOSECONDS:
            if 0 < before_ns - stamp_ns < CLOCK_SET_S * NANOSECONDS:
                raise UnreadableMessageError("its stamp is before that of the message before")
            if not passed_alike(stamp_ns - before_ns, log_ns - before_log_ns):
                self._confirm_jump(publisher, stamp_ns)
                self._cut()
                before_ns = None
        else:
            self._jumps.pop(publisher, None)  # two publishers in turn, as when a bag is played while another is recorded, set no clock
        pause_ns = self._pause_ns if self._pause_ns is not None and before_log_ns <= self._pause_ns[0] else None
        # If little time passed by the stamps, the recorder stalled, and logged later what it received meanwhile.
        if pause_ns is not None and before_ns is not None and stamp_ns - before_ns > PAUSE_S * NANOSECONDS:
            self._cut(pause_ns)
        self._newest[publisher] = stamp_ns, log_ns
        if stamp_ns == before_ns:
            return None
        self.timeline.stamps[topic].append(stamp_ns)
        self.timeline.delays[topic].append((log_ns - stamp_ns) / NANOSECONDS)
        return stamp_ns

    def _cut(self, pause_ns: tuple[int, int] | None = None) -> None:
        """Begins another epoch, with the instruction that holds; `pause_ns`: the log times between which nothing was recorded."""
        before, epoch = self.timeline.epochs[-1], Epoch(begins={topic: len(stamps) for topic, stamps in self.timeline.stamps.items()})
        epoch.instructions = [] if self._instruction is None else [(0, self._instruction)]
        if pause_ns is not None:
            epoch.paused_s = (pause_ns[1] - pause_ns[0]) / NANOSECONDS
            epoch.commands = [command for command in before.commands if command.known_ns > pause_ns[0]]  # came before the first stamp
            before.commands = [command for command in before.commands if command.known_ns <= pause_ns[0]]
        self.timeline.epochs.append(epoch)
        self._begin_epoch()

    def _unstamped(self, topic: str, log_ns: int) -> int:
        """The time of a message whose stamp is zero: that of its receipt, if all of the topic are. In simulation the first one may be."""
        if self.timeline.stamps[topic] and topic not in self.timeline.unstamped:
            raise UnreadableMessageError("its stamp is zero")
        if topic not in self._zero:
            self._zero.add(topic)
            raise UnreadableMessageError("the first stamp is zero")
        self.timeline.unstamped.add(topic)
        return log_ns

    def _confirm_jump(self, publisher: tuple[str, ...], stamp_ns: int) -> None:
        """Returns if the publisher's message before has jumped to this time too; a single stamp from elsewhere sets no clock."""
        jumped_ns = self._jumps.pop(publisher, None)
        if jumped_ns is None or not 0 <= stamp_ns - jumped_ns <= LONGEST_GAP_S * NANOSECONDS:
            self._jumps[publisher] = stamp_ns
            raise UnreadableMessageError("its stamp is far from that of the message before")

    def _observe(self, topic: str, stamp_ns: int, number: int) -> None:
        """Takes in a frame."""
        if number in self._bad.get(topic, ()):
            raise UnreadableMessageError(self._bad[topic][number])
        if topic in self._others:
            self._others[topic].add(stamp_ns, number)
        else:
            measured = self._joints.at(stamp_ns, JOINT_GAP_S)
            further = [history.at(stamp_ns, CAMERA_GAP_S) for history in self._others.values()]
            if measured is None or None in further:
                self.timeline.incomplete += 1
            else:
                frames = (number, *(int(n) for n in further if n is not None))
                self.timeline.epochs[-1].sightings.append(Sighting(stamp_ns, measured, frames))

    def finished(self) -> Timeline:
        """The timeline, with the times of commands by the clock of the stamps."""
        if self._merge.missing and self._counts.keys() & self._sources.keys():
            raise BagError(
                f"joint state lacks {', '.join(self._merge.missing)}; it has {', '.join(self._merge.recorded) or 'no names'}. "
                "Check the embodiment's joint names against the robot's, or name topics, prefixes and names with --mapping"
            )
        if jump := self._merge.disagreement:
            topics = ", ".join(self._sources)
            raise BagError(
                f"the joints of {topics} jump: {jump}; two publishers that disagree? Record the robot's own alone, or use --mapping"
            )
        camera, joints = (self.timeline.stamps[topic] for topic in (self._streams.images[0], self._streams.joints))
        if not self.timeline.sightings and camera and joints:
            self.timeline.camera_ahead_s = float(np.median(camera) - np.median(joints)) / NANOSECONDS
        for number, epoch in enumerate(self.timeline.epochs):
            stamps, delays = self._of_epoch(self.timeline.stamps, number), self._of_epoch(self.timeline.delays, number)
            joints_s = delays.pop(self._streams.joints, [])
            epoch.offset_s = clock_offset_s(joints_s, list(delays.values()))
            stamped_ns = clock_of_stamps(stamps.get(self._streams.joints, []), joints_s)
            # A recorder on simulated time may lag behind: nothing is known before it was stamped.
            epoch.commands = sorted(
                (Command(max(stamped_ns(c.known_ns), c.request.stamp_ns), c.controller, c.request) for c in epoch.commands),
                key=lambda command: command.known_ns,
            )
        self.timeline.unread = self._unread_commands()
        return self.timeline

    def _of_epoch(self, values: Mapping[str, list[T]], number: int) -> dict[str, list[T]]:
        """What of `values`, one for each stamp of a topic, is of the epoch with this number, by topic."""
        epochs = self.timeline.epochs
        ends = epochs[number + 1].begins if number + 1 < len(epochs) else {topic: len(of) for topic, of in values.items()}
        return {topic: of[epochs[number].begins.get(topic, 0) : ends.get(topic, 0)] for topic, of in values.items()}

    def _unread_commands(self) -> dict[str, str]:
        """Controllers of whose commands none could be used, with what is wrong with them."""
        commanded = {command.controller for command in self.timeline.commands}
        return {
            source.controller: "; ".join(wrong)
            for topic, sources in self._streams.commands.items()
            if (wrong := self.timeline.left_out.sentences(of=topic))
            for source in sources
            if source.controller not in commanded
        }
