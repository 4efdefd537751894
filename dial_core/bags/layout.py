"""What a rosbag2 folder holds beside its messages: topics with types and QoS, what was recorded, and `metadata.yaml` (version 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dial_core.errors import DialError
from dial_core.files.atomic import write_text

METADATA_FILE = "metadata.yaml"
EPISODE_RECORD = "dial_episode"  # name of the MCAP metadata record that carries the facts, for a bag that was never closed
ROSBAG2_RECORD = "rosbag2"  # name of the one in which rosbag2 repeats metadata.yaml
_FOREVER = {"sec": 9223372036, "nsec": 854775807}


_HISTORIES = ("system_default", "keep_last", "keep_all")  # by number, as earlier versions of rosbag2 write them
_RELIABILITIES = ("system_default", "reliable", "best_effort")
_DURABILITIES = ("system_default", "transient_local", "volatile")


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
        qos_text: the profiles as another recorder wrote them, which a reader compares with metadata.yaml; empty: as `qos` says.
        schema_encoding: language of the definition, `ros2msg` or `ros2idl`; others, and none, in recordings of other programs.
        encoding: of its messages; only `cdr` can be decoded.
    """

    name: str
    type: str
    definition: str
    type_hash: str = ""
    qos: tuple[Qos, ...] = ()
    qos_text: str = ""
    schema_encoding: str = "ros2msg"
    encoding: str = "cdr"

    def qos_yaml(self) -> str:
        """The offered profiles as text, as rosbag2 keeps them in a channel."""
        if self.qos_text:
            return self.qos_text
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
    """What `metadata.yaml` says of a bag. `facts`: text by name, rosbag2's `custom_data`; `storage`: `mcap` or `sqlite3`."""

    topics: list[Topic]
    counts: dict[str, int]
    files: list[FileSpan] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    storage: str = "mcap"

    def write(self, folder: Path) -> None:
        """Writes `metadata.yaml`, complete or not at all."""
        filled = [file for file in self.files if file.messages]
        start_ns = min((file.start_ns for file in filled), default=0)
        end_ns = max((file.end_ns for file in filled), default=0)
        information = {
            "version": 9,
            "storage_identifier": self.storage,
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
        text = yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False, allow_unicode=True)
        write_text(folder / METADATA_FILE, text)

    def _topic(self, topic: Topic) -> dict:
        metadata = {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": topic.encoding,
            "offered_qos_profiles": yaml.safe_load(topic.qos_text) if topic.qos_text else [profile.as_rosbag2() for profile in topic.qos],
            "type_description_hash": topic.type_hash,
        }
        return {"topic_metadata": metadata, "message_count": self.counts[topic.name]}


@dataclass(frozen=True)
class Metadata:
    """What is used of a `metadata.yaml`: names of the storage files, and the recorder's facts."""

    files: list[str]
    facts: dict[str, str]


def read_metadata(path: Path) -> Metadata | None:
    """Reads a `metadata.yaml`; None if there is none, or it is cut off or holds something else."""
    try:
        information = _information(path.read_text(errors="replace"))
    except OSError:
        return None
    if information is None:
        return None
    files = information.get("relative_file_paths")
    return Metadata([str(name) for name in files] if isinstance(files, list) else [], _facts(information))


def facts_of_metadata(text: str) -> dict[str, str]:
    """The recorder's facts in the text of a `metadata.yaml`; empty if it holds none."""
    information = _information(text)
    return _facts(information) if information else {}


def parse_qos(text: str) -> tuple[Qos, ...]:
    """Offered profiles as rosbag2 notes them, by word or by number; empty if they cannot be read, as nothing hangs on them."""
    try:
        profiles = yaml.safe_load(text) or []
        return tuple(
            Qos(
                _word(profile["reliability"], _RELIABILITIES),
                _word(profile["durability"], _DURABILITIES),
                _word(profile["history"], _HISTORIES),
                int(profile["depth"]),
            )
            for profile in profiles
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, IndexError):
        return ()


def _word(value: str | int, words: tuple[str, ...]) -> str:
    return words[value] if isinstance(value, int) else str(value)


def _information(text: str) -> dict | None:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    information = content.get("rosbag2_bagfile_information", content)
    return information if isinstance(information, dict) else None


def _facts(information: dict) -> dict[str, str]:
    facts = information.get("custom_data")
    return {str(name): str(value) for name, value in facts.items()} if isinstance(facts, dict) else {}
