"""What a rosbag2 folder holds beside its messages: topics with types and QoS, what was recorded, and `metadata.yaml` (version 9)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dial_core.errors import DialError

METADATA_FILE = "metadata.yaml"
EPISODE_RECORD = "dial_episode"  # name of the MCAP metadata record that carries the facts, for a bag that was never closed
_FOREVER = {"sec": 9223372036, "nsec": 854775807}


class BagError(DialError):
    """A bag cannot be written or read; the message names the bag."""


@dataclass(frozen=True)
class Qos:
    """Quality of service that a publisher offered, in rosbag2's words."""

    reliability: str = "reliable"  # or best_effort
    durability: str = "volatile"  # or transient_local
    history: str = "keep_last"
    depth: int = 10

    def as_rosbag2(self) -> dict:
        """The entry of `offered_qos_profiles`."""
        return {
            "history": self.history,
            "depth": self.depth,
            "reliability": self.reliability,
            "durability": self.durability,
            "deadline": dict(_FOREVER),
            "lifespan": dict(_FOREVER),
            "liveliness": "automatic",
            "liveliness_lease_duration": dict(_FOREVER),
            "avoid_ros_namespace_conventions": False,
        }


@dataclass(frozen=True)
class Topic:
    """One recorded topic.

    Attributes:
        name: as resolved, with its leading slash.
        type: e.g. `sensor_msgs/msg/Image`.
        definition: text of the .msg file, followed by those of the types it uses (`ros2msg`).
        type_hash: RIHS01 hash, or empty.
        qos: profiles its publishers offered; none if there was no publisher.
    """

    name: str
    type: str
    definition: str
    type_hash: str = ""
    qos: tuple[Qos, ...] = ()

    def qos_yaml(self) -> str:
        """The offered profiles as text, as rosbag2 keeps them in a channel."""
        return yaml.safe_dump([profile.as_rosbag2() for profile in self.qos], sort_keys=False) if self.qos else ""


@dataclass
class FileSpan:
    """One MCAP file of a bag: its messages' count, and first and last log time [ns]."""

    path: Path
    messages: int = 0
    start_ns: int = 0
    end_ns: int = 0

    def note(self, log_ns: int) -> None:
        """Counts one message."""
        self.start_ns = min(self.start_ns, log_ns) if self.messages else log_ns
        self.end_ns = max(self.end_ns, log_ns)
        self.messages += 1

    def as_rosbag2(self) -> dict:
        """The entry of `files`."""
        return {
            "path": self.path.name,
            "starting_time": {"nanoseconds_since_epoch": self.start_ns},
            "duration": {"nanoseconds": self.end_ns - self.start_ns},
            "message_count": self.messages,
        }


@dataclass
class BagContents:
    """What `metadata.yaml` says of a bag. `facts`: text by name, rosbag2's `custom_data`."""

    topics: list[Topic]
    counts: dict[str, int]
    files: list[FileSpan] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes `metadata.yaml`, complete or not at all."""
        filled = [file for file in self.files if file.messages]
        start_ns = min((file.start_ns for file in filled), default=0)
        end_ns = max((file.end_ns for file in filled), default=0)
        information = {
            "version": 9,
            "storage_identifier": "mcap",
            "duration": {"nanoseconds": end_ns - start_ns},
            "starting_time": {"nanoseconds_since_epoch": start_ns},
            "message_count": sum(self.counts.values()),
            "topics_with_message_count": [self._topic(topic) for topic in self.topics],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [file.path.name for file in self.files],
            "files": [file.as_rosbag2() for file in self.files],
            "custom_data": self.facts or None,
            "ros_distro": "jazzy",
        }
        partial = folder / f".{METADATA_FILE}.{os.getpid()}"
        partial.write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False, allow_unicode=True))
        partial.rename(folder / METADATA_FILE)

    def _topic(self, topic: Topic) -> dict:
        metadata = {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": "cdr",
            "offered_qos_profiles": [profile.as_rosbag2() for profile in topic.qos],
            "type_description_hash": topic.type_hash,
        }
        return {"topic_metadata": metadata, "message_count": self.counts[topic.name]}
