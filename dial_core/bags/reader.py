"""Reads a rosbag2 folder: a whole one by its index, one that was never closed record by record up to where it ends."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from mcap.exceptions import McapError
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.base import TypesysError
from rosbags.typesys.store import Typestore

from dial_core.bags.layout import EPISODE_RECORD, METADATA_FILE, BagError, Qos, Topic

_ENDS_EARLY = (McapError, struct.error, EOFError, ValueError, IndexError)  # what a half-written record looks like


class Bag:
    """A bag on disk.

    Attributes:
        folder: of the bag.
        whole: it was closed; False: its recorder was killed, and it is read as far as it goes.
        topics: by name.
        facts: what the recorder noted: instruction, outcome, note, embodiment, ... (text by name).
    """

    def __init__(self, folder: Path) -> None:
        """Reads what the bag holds, not yet its messages. Raises BagError if there is no bag, or a damaged one."""
        self.folder = Path(folder)
        self.whole = (self.folder / METADATA_FILE).is_file()
        self.topics: dict[str, Topic] = {}
        self.facts: dict[str, str] = {}
        if self.whole:
            self._read_index()
        else:
            self._read_beginnings()

    @cached_property
    def files(self) -> list[Path]:
        """The MCAP files in order of recording."""
        return sorted(self.folder.glob("*.mcap"), key=lambda path: (len(path.name), path.name))

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, log time [ns] and CDR bytes of all messages of `topics`, in order of log time.

        Raises:
            BagError: the bag is damaged (a bag without an end is not: it just ends).
        """
        if not self.whole:
            for path in self.files:
                for topic, log_ns, _, data in read_unfinished(path)[1]:
                    if topic in topics:
                        yield topic, log_ns, data
            return
        try:
            with Reader(self.folder) as reader:
                chosen = [connection for connection in reader.connections if connection.topic in topics]
                for connection, log_ns, data in reader.messages(chosen) if chosen else ():
                    yield connection.topic, log_ns, data
        except (ReaderError, *_ENDS_EARLY) as error:
            raise BagError(f"{self.folder}: damaged: {error}; `dial repair {self.folder}` keeps what can be read") from error

    def decode(self, topic: str, data: bytes) -> Any:
        """The message in `data`: an object with the fields of its definition; arrays of numbers are numpy arrays.

        Raises:
            BagError: the type is not known, or the bytes do not fit it.
        """
        kind = self.topics[topic].type
        if kind not in self._types.fielddefs:
            raise BagError(
                f"{self.folder}: topic {topic} has type {kind}, but its definition is neither in the bag nor known; record it again"
            )
        try:
            return self._types.deserialize_cdr(data, kind)
        except Exception as error:  # generated code: whatever wrong bytes make of it
            raise BagError(f"{self.folder}: a message of {topic} is no {kind}: {error}") from error

    @cached_property
    def _types(self) -> Typestore:
        store = get_typestore(Stores.ROS2_JAZZY)
        for topic in self.topics.values():
            if topic.type in store.fielddefs or not topic.definition:
                continue
            parse = get_types_from_idl if topic.definition.startswith("=" * 80 + "\nIDL: ") else None
            found = parse(topic.definition) if parse else get_types_from_msg(topic.definition, topic.type)
            try:
                store.register({name: fields for name, fields in found.items() if name not in store.fielddefs})
            except TypesysError as error:
                raise BagError(f"{self.folder}: the definition of {topic.type} cannot be used: {error}") from error
        return store

    def _read_index(self) -> None:
        try:
            with Reader(self.folder) as reader:
                for connection in reader.connections:
                    known = connection.msgdef.format is not MessageDefinitionFormat.NONE
                    definition = connection.msgdef.data if known else ""
                    self.topics[connection.topic] = Topic(connection.topic, connection.msgtype, definition, connection.digest)
                self.facts = dict(reader.storage.metadata.custom or {})
        except (ReaderError, OSError, *_ENDS_EARLY) as error:
            raise BagError(f"{self.folder}: damaged: {error}; `dial repair {self.folder}` keeps what can be read") from error

    def _read_beginnings(self) -> None:
        if not self.files:
            raise BagError(f"{self.folder} is no bag: neither {METADATA_FILE} nor an .mcap file in it")
        for path in self.files:
            beginning, records = read_unfinished(path)
            next(records, None)  # topics stand before the first message
            self.topics |= beginning.topics
            self.facts |= beginning.facts


class Beginning:
    """Topics and facts met so far in a file that is read record by record."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.facts: dict[str, str] = {}


def read_unfinished(path: Path) -> tuple[Beginning, Iterator[tuple[str, int, int, bytes]]]:
    """An MCAP file without its end: what it says of itself (filled while reading), and its messages.

    Messages are topic, log time [ns], publish time [ns], CDR bytes. Raises BagError, on the first message, if it is no MCAP file.
    """
    beginning = Beginning()
    return beginning, _records(path, beginning)


def _records(path: Path, beginning: Beginning) -> Iterator[tuple[str, int, int, bytes]]:
    schemas: dict[int, Schema] = {}
    channels: dict[int, str] = {}
    with path.open("rb") as file:
        if file.read(8) != b"\x89MCAP0\r\n":
            raise BagError(f"{path} is no MCAP file: it does not begin like one")
        file.seek(0)
        try:
            for record in StreamReader(file).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    topic = _topic(record, schemas[record.schema_id])
                    beginning.topics[topic.name] = topic
                    channels[record.id] = topic.name
                elif isinstance(record, Metadata) and record.name == EPISODE_RECORD:
                    beginning.facts |= record.metadata
                elif isinstance(record, Message):
                    yield channels[record.channel_id], record.log_time, record.publish_time, record.data
        except _ENDS_EARLY:
            return  # here the recorder was killed


def _topic(channel: Channel, schema: Schema) -> Topic:
    profiles = yaml.safe_load(channel.metadata.get("offered_qos_profiles", "")) or []
    qos = tuple(Qos(p["reliability"], p["durability"], p["history"], p["depth"]) for p in profiles)
    return Topic(channel.topic, schema.name, schema.data.decode(), channel.metadata.get("topic_type_hash", ""), qos)
