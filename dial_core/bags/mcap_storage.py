"""Reads an MCAP file: by its index, or record by record up to where its recorder was killed. A damaged chunk costs its messages only."""

from __future__ import annotations

import heapq
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import zstandard
from mcap.exceptions import EndOfFile, McapError
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Attachment, Channel, Chunk, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from dial_core.bags.compression import decompressed_message
from dial_core.bags.layout import EPISODE_RECORD, ROSBAG2_RECORD, BagError, Topic, facts_of_metadata, parse_qos
from dial_core.bags.storage import Record, not_kept, one_type_each
from dial_core.bags.temporary import TemporaryFolder
from dial_core.files.integrity import require_content

# What half-written or overwritten records make of the readers of `mcap`, lz4 and zstd.
_DAMAGED = (
    McapError, zstandard.ZstdError, struct.error, EOFError, ValueError, IndexError, KeyError, TypeError, RuntimeError, MemoryError,
    OverflowError,
)  # fmt: skip
_MAGIC = b"\x89MCAP0\r\n"
_ENCODINGS = ("ros2msg", "ros2idl")
_NOT_FOUND = ("", "unknown")  # encodings of the schema of a type whose definition rosbag2 did not find
_FOOTER = struct.Struct("<BQQQI")  # opcode, length, start of the summary, start of its offsets, checksum
_CHECKSUM = 4
_CHUNK_CHECKSUM_AT = 9 + 24  # in a chunk's record: after opcode and length, its two times and its size
_CHUNKS_ASKED = 8


class _Place(NamedTuple):
    """Where a chunk lies, or a message outside of chunks: first log time [ns], byte, bytes in it, and its channels (none: not known)."""

    start_ns: int
    offset: int
    size: int
    channels: Collection[int] = ()


class McapStorage:
    """An MCAP file; see `Storage`."""

    def __init__(self, path: Path, temporary: TemporaryFolder | None = None) -> None:
        """Reads what the file holds, not yet its messages. Raises BagError if it is not an MCAP file."""
        self.path, self.temporary = path, temporary
        self.topics: dict[str, Topic] = {}
        self.foreign: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.damage: list[str] = []
        self.compressed = False
        self.span = (0, 0)
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._counts: Counter[int] = Counter()  # of messages, by channel
        self._names: dict[int, str] = {}  # of channels, by id
        self._places: list[_Place] | None = None  # None: messages lie in the file in order of their log time
        self._lost: tuple[str, ...] = ()  # what of the damage lies behind the last readable record
        self._has_checksums = False  # of chunks; a writer gives all of them one, or none
        try:
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    require_content(path)
                    raise BagError(f"{path} is no MCAP file: it does not begin like one")
                self.whole = self._read_summary(file) or self._scan(file)
                self._settle()
        except OSError as error:
            raise BagError(f"{path} cannot be read: {error}") from error

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """All messages of `topics`; see `Storage`."""
        self.damage[:] = self._lost
        with self.path.open("rb") as file:
            for message in self._in_file_order(file) if self._places is None else self._by_time(file, self._places, topics):
                name = self._names.get(message.channel_id)
                if name is not None and name in topics:
                    try:
                        data = decompressed_message(message.data)
                    except BagError as error:
                        self._note(str(error))
                        continue
                    self.compressed |= data is not message.data
                    yield name, message.log_time, message.publish_time, data

    def extras(self) -> Iterator[Attachment | Metadata]:
        """Attachments and notes of another recorder; see `Storage`."""
        with self.path.open("rb") as file:
            for _, record in self._records_in(file):
                if isinstance(record, Attachment) or (isinstance(record, Metadata) and record.name not in (EPISODE_RECORD, ROSBAG2_RECORD)):
                    yield record

    def _read_summary(self, file: IO[bytes]) -> bool:
        """Takes topics, facts and the index of chunks from the end of the file; False if there is no whole one."""
        if not self._summary_start(file):
            return False
        file.seek(0)
        reader = SeekingReader(file, record_size_limit=self.path.stat().st_size)
        try:
            summary = reader.get_summary()
            if summary is None or summary.statistics is None:
                return False
            statistics, chunks = summary.statistics, summary.chunk_indexes
            if not chunks and statistics.message_count:
                return False  # without an index, only the messages themselves say in which order they lie
            if statistics.channel_count != len(summary.channels) or statistics.chunk_count != len(chunks):
                return False
            if {channel.schema_id for channel in summary.channels.values()} - summary.schemas.keys() - {0}:
                return False
            records = list(reader.iter_metadata()) if summary.metadata_indexes else []
        except (*_DAMAGED, AssertionError):
            return False
        for record in (*summary.schemas.values(), *summary.channels.values(), *records):
            self._take(record)
        self._counts.update(statistics.channel_message_counts)
        self.span = statistics.message_start_time, statistics.message_end_time
        self._places = [
            _Place(chunk.message_start_time, chunk.chunk_start_offset, chunk.uncompressed_size, chunk.message_index_offsets.keys())
            for chunk in chunks
        ]
        for index in chunks[:_CHUNKS_ASKED]:
            file.seek(index.chunk_start_offset + _CHUNK_CHECKSUM_AT)
            self._has_checksums |= any(file.read(_CHECKSUM))
        return True

    def _summary_start(self, file: IO[bytes]) -> int | None:
        """Where the summary begins, 0 if the file was closed without one; None if it ends without footer or their checksum is wrong."""
        size = self.path.stat().st_size
        if size < _FOOTER.size + 2 * len(_MAGIC):
            return None
        file.seek(size - _FOOTER.size - len(_MAGIC))
        opcode, _, start, _, checksum = _FOOTER.unpack(file.read(_FOOTER.size))
        if opcode != Opcode.FOOTER or file.read() != _MAGIC or not 0 <= start < size:
            return None
        file.seek(start)
        summed = not start or checksum in (0, zlib.crc32(file.read(size - len(_MAGIC) - _CHECKSUM - start)))
        return start if summed else None

    def _scan(self, file: IO[bytes]) -> bool:
        """Takes them from the whole file instead, as channels may stand anywhere before their first message; False if it was not closed."""
        first_ns, newest_ns, ordered = None, 0, True
        for message in self._in_file_order(file):
            self._counts[message.channel_id] += 1
            ordered &= message.log_time >= newest_ns
            newest_ns = max(newest_ns, message.log_time)
            first_ns = message.log_time if first_ns is None else min(first_ns, message.log_time)
        self.span = first_ns or 0, newest_ns
        whole = self._summary_start(file) is not None and not self.damage
        if not ordered:  # as scripts write them that copy topic by topic
            self._places = [
                _Place(messages[0].log_time, offset, sum(len(message.data) for message in messages))
                for offset, messages in self._groups(file)
            ]
            self._lost = tuple(self.damage)
        return whole

    def _take(self, record: McapRecord) -> None:
        if isinstance(record, Schema):
            self._schemas.setdefault(record.id, record)
        elif isinstance(record, Channel):
            self._channels.setdefault(record.id, record)
        elif isinstance(record, Metadata):
            if record.name == EPISODE_RECORD:
                self.facts |= record.metadata
            elif record.name == ROSBAG2_RECORD:
                self.facts = facts_of_metadata(record.metadata.get("serialized_metadata", "")) | self.facts

    def _settle(self) -> None:
        """Makes topics of the channels; several may have one name."""
        kinds = {number: self._kind(channel) for number, channel in self._channels.items()}
        why_foreign = {number: self._why_foreign(channel) for number, channel in self._channels.items()}
        kept = one_type_each(
            (channel.topic, kinds[number], why_foreign[number], self._counts[number]) for number, channel in self._channels.items()
        )
        for number, channel in self._channels.items():
            topic, why = self._topic(channel, kinds[number]), why_foreign[number]
            if (topic.type, why) != kept[topic.name]:
                self.foreign.update([not_kept(topic, why, kept[topic.name])])
                continue
            self._names[number] = channel.topic
            self.topics[channel.topic] = topic
            if count := self._counts[number]:
                self.counts[channel.topic] = self.counts.get(channel.topic, 0) + count
            if why:
                self.foreign[channel.topic] = why

    def _why_foreign(self, channel: Channel) -> str:
        schema = self._schemas.get(channel.schema_id)
        if channel.message_encoding != "cdr":
            return f"its messages are '{channel.message_encoding}', not CDR"
        if schema is None or not _is_ros2(schema):
            return f"it has no ROS 2 definition (schema encoding '{schema.encoding if schema else 'none'}')"
        return ""

    def _kind(self, channel: Channel) -> str:
        schema = self._schemas.get(channel.schema_id)
        kind = schema.name if schema else ""
        return kind.replace("/", "/msg/") if schema and _is_ros2(schema) and kind.count("/") == 1 else kind

    def _topic(self, channel: Channel, kind: str) -> Topic:
        schema, known = self._schemas.get(channel.schema_id), self.topics.get(channel.topic)
        text = known.qos_text if known else channel.metadata.get("offered_qos_profiles", "")
        qos = parse_qos(text)
        type_hash = channel.metadata.get("topic_type_hash", "")
        definition = schema.data.decode(errors="surrogateescape") if schema else ""
        encoding = "" if schema is None else "ros2msg" if schema.encoding in _NOT_FOUND and not definition.strip() else schema.encoding
        return Topic(channel.topic, kind, definition, type_hash, qos, text if qos else "", encoding, channel.message_encoding)

    def _by_time(self, file: IO[bytes], places: Collection[_Place], topics: Collection[str]) -> Iterator[Message]:
        """Messages of the chunks that hold one of the topics, in order of log time."""
        wanted = {number for number, name in self._names.items() if name in topics}
        waiting: list[tuple[int, int, Message]] = []
        number = 0
        for place in sorted(places, key=lambda place: place[:2]):
            if place.channels and not wanted & set(place.channels):
                continue
            while waiting and waiting[0][0] < place.start_ns:
                yield heapq.heappop(waiting)[2]
            for message in self._messages_at(file, place):
                if message.channel_id in wanted:
                    heapq.heappush(waiting, (message.log_time, number, message))
                    number += 1
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _messages_at(self, file: IO[bytes], place: _Place) -> list[Message]:
        try:
            file.seek(place.offset)
            limit = self.path.stat().st_size
            record = next(StreamReader(file, skip_magic=True, emit_chunks=True, record_size_limit=limit).records)
            records = self._checked(record) if isinstance(record, Chunk) else [record]
            if not isinstance(record, Chunk | Message):
                self._note("the index points to something else than a chunk")
        except _DAMAGED as error:
            self._note_chunk(place.size, place.start_ns, error)
            return []
        return [record for record in records if isinstance(record, Message)]

    def _in_file_order(self, file: IO[bytes]) -> Iterator[Message]:
        """All messages up to the end of what can be read, sorted by log time within each chunk; fills in what stands between them."""
        for _, messages in self._groups(file):
            yield from messages

    def _groups(self, file: IO[bytes]) -> Iterator[tuple[int, list[Message]]]:
        """The messages of each chunk, sorted by log time, or one outside of chunks, with the byte at which they lie."""
        for offset, record in self._records_in(file):
            if isinstance(record, Chunk):
                self._has_checksums |= record.uncompressed_crc != 0
                if messages := self._opened(record):
                    yield offset, messages
            elif isinstance(record, Message):
                yield offset, [record]
            else:
                self._take(record)

    def _records_in(self, file: IO[bytes]) -> Iterator[tuple[int, McapRecord]]:
        """The records of the file, chunks closed, each with the byte at which it lies, up to where they cannot be read."""
        file.seek(0)
        reader = StreamReader(file, emit_chunks=True, record_size_limit=self.path.stat().st_size)
        offset = len(_MAGIC)
        try:
            for record in reader.records:
                yield offset, record
                offset = file.tell()
        except EndOfFile:
            return  # here the recorder was killed
        except _DAMAGED as error:
            self._note(f"unreadable from byte {file.tell()} on: {error}")

    def _opened(self, chunk: Chunk) -> list[Message]:
        try:
            records = self._checked(chunk)
        except _DAMAGED as error:
            self._note_chunk(chunk.uncompressed_size, chunk.message_start_time, error)
            return []
        for record in records:
            self._take(record)
        return sorted((record for record in records if isinstance(record, Message)), key=lambda message: message.log_time)

    def _checked(self, chunk: Chunk) -> list[McapRecord]:
        """The records in a chunk whose checksum fits; raises one of `_DAMAGED` otherwise."""
        if self._has_checksums and not chunk.uncompressed_crc:
            raise ValueError("it has no checksum, though others of the file have one")
        return breakup_chunk(chunk, validate_crc=True)

    def _note_chunk(self, size: int, start_ns: int, error: Exception) -> None:
        self._note(f"a chunk of {size / 2**20:.1f} MB from {start_ns / 1e9:.3f} s on: {error}")

    def _note(self, what: str) -> None:
        if what not in self.damage:
            self.damage.append(what)


def _is_ros2(schema: Schema) -> bool:
    """Whether messages can be decoded by the schema, or by its name: rosbag2 leaves the text out where it does not find the .msg file."""
    return schema.encoding in _ENCODINGS or (schema.encoding in _NOT_FOUND and "/" in schema.name and not schema.data.strip())
