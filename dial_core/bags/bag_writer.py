"""Writes a rosbag2 folder of MCAP files, message by message, as raw bytes.

The `mcap` package and not `rosbags` writes: its writer can end a chunk at any moment (`flush`), so that a killed process
loses only what came since, and it can continue in a next file. `rosbags` ends a chunk every MiB, which takes minutes when
only joints are recorded, and knows one file a bag; it reads what is written here.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from mcap.records import Attachment, Metadata
from mcap.writer import CompressionType, Writer

from dial_core.bags.layout import EPISODE_RECORD, BagContents, BagError, FileSpan, Topic
from dial_core.bags.live_recording import lock_for_writing
from dial_core.files.disk_space import free_bytes

SPLIT_BYTES = 2 * 2**30
_CHUNK_BYTES = 2**20  # as rosbag2 and Foxglove like them


class BagWriter:
    """A bag under construction. One thread at a time."""

    def __init__(self, folder: Path, topics: Sequence[Topic], facts: dict[str, str] | None = None, split_bytes: int = SPLIT_BYTES) -> None:
        """Makes the folder and its first file.

        Args:
            folder: of the bag, not there yet.
            topics: all that may be written.
            facts: what is known at the beginning (instruction, robot); kept even if the bag is never closed.
            split_bytes: a file that has reached this size is followed by a next one.

        Raises:
            BagError: the folder is there already, or cannot be made.
        """
        self.folder = folder
        self._split_bytes = split_bytes
        self._contents = BagContents(list(topics), {topic.name: 0 for topic in topics}, facts=dict(facts or {}))
        self._sizes: dict[Path, int | None] = {}  # of finished files [byte]; None: another file is in its place, or none
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise BagError(f"{folder} is there already and is not overwritten; choose another label, or move it away") from None
        except OSError as error:
            raise BagError(f"{folder} cannot be made: {error}") from error
        try:
            self._open_file()
        except BagError:
            shutil.rmtree(folder, ignore_errors=True)  # a folder without a file is no bag, and would take the label
            raise

    @property
    def messages(self) -> int:
        """Written so far."""
        return sum(self._contents.counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far, by topic."""
        return dict(self._contents.counts)

    def write(self, topic: str, log_ns: int, publish_ns: int, data: bytes) -> None:
        """Adds one message.

        Args:
            topic: name of one of the bag's topics.
            log_ns: when it was received [ns].
            publish_ns: when it was sent [ns].
            data: CDR bytes as they came over the wire.

        Raises:
            BagError: the disk is full or failed.
        """
        with _disk_errors(self.folder, self._pace):
            if self._stream.tell() >= self._split_bytes and self._span.messages:
                self._finish_file()
                self._open_file()
            self._mcap.add_message(self._channels[topic], log_ns, data, publish_ns)
        self._span.note(log_ns)
        self._contents.counts[topic] += 1

    def copy(self, record: Attachment | Metadata) -> None:
        """Adds an attachment or a note of another recorder. Raises BagError if the disk does not take it."""
        with _disk_errors(self.folder, self._pace):
            if isinstance(record, Attachment):
                self._mcap.add_attachment(record.create_time, record.log_time, record.name, record.media_type, record.data)
            else:
                self._mcap.add_metadata(record.name, record.metadata)

    def flush(self) -> None:
        """Hands all that was written to the operating system: from here on a killed process loses none of it."""
        with _disk_errors(self.folder, self._pace):
            self._mcap.flush()

    def close(self, facts: dict[str, str] | None = None) -> None:
        """Completes the bag: index, `metadata.yaml` and further `facts`. Raises BagError if the disk does not take them."""
        self._contents.facts |= facts or {}
        with _disk_errors(self.folder, self._pace):
            self._mcap.add_metadata(EPISODE_RECORD, self._contents.facts)
            self._finish_file()
            if gone := [path.name for path, size in self._sizes.items() if not path.is_file() or path.stat().st_size != size]:
                raise BagError(f"{self.folder}: {', '.join(gone)} was removed or replaced while it was recorded; its messages are lost")
            self._contents.write(self.folder)

    def abandon(self) -> None:
        """Lets go of the file as it is, unfinished; readable like that of a killed process."""
        try:
            self._stream.close()
        except OSError:
            self._stream.raw.close() if hasattr(self._stream, "raw") else None

    def _open_file(self) -> None:
        path = self.folder / f"{self.folder.name}_{len(self._contents.files)}.mcap"
        with _disk_errors(self.folder, self._pace):
            self._stream: IO[bytes] = path.open("xb")
        lock_for_writing(self._stream)
        self._span = FileSpan(path)
        self._contents.files.append(self._span)
        self._mcap = Writer(self._stream, chunk_size=_CHUNK_BYTES, compression=CompressionType.NONE)
        with _disk_errors(self.folder, self._pace):
            self._mcap.start(profile="ros2", library="dial_ros")
            self._mcap.add_metadata(EPISODE_RECORD, self._contents.facts)
            self._channels = self._register()
            self._stream.flush()

    def _register(self) -> dict[str, int]:
        schemas: dict[str, int] = {}
        channels = {}
        for topic in self._contents.topics:
            if topic.type not in schemas:
                definition = topic.definition.encode(errors="surrogateescape")
                schemas[topic.type] = self._mcap.register_schema(topic.type, topic.schema_encoding, definition) if topic.type else 0
            metadata = {"offered_qos_profiles": topic.qos_yaml(), "topic_type_hash": topic.type_hash}
            channels[topic.name] = self._mcap.register_channel(topic.name, topic.encoding, schemas[topic.type], metadata)
        return channels

    def _pace(self) -> str:
        """How much room the recording has taken a minute; empty before it lasts."""
        spans = [span for span in self._contents.files if span.messages]
        lasted_s = (max(span.end_ns for span in spans) - spans[0].start_ns) / 1e9 if spans else 0.0
        if lasted_s < 1.0:
            return ""
        taken = sum(span.path.stat().st_size for span in spans if span.path.is_file())
        return f", and this recording takes {60 * taken / lasted_s / 2**20:,.1f} MB a minute"

    def _finish_file(self) -> None:
        self._mcap.finish()
        self._stream.flush()
        path = self._span.path
        # While it is open: on FAT and FUSE, a file that was closed may get another inode number.
        ours = path.is_file() and os.path.samestat(path.stat(), os.fstat(self._stream.fileno()))
        self._sizes[path] = self._stream.tell() if ours else None
        self._stream.close()


class _disk_errors:  # noqa: N801  a context, written like a function
    """Turns what the disk raises into a BagError that says what to do."""

    def __init__(self, folder: Path, pace: Callable[[], str]) -> None:
        self._folder, self._pace = folder, pace

    def __enter__(self) -> None: ...

    def __exit__(self, kind, error, trace) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BagError(
                f"{self._folder}: the disk is full ({free_bytes(self._folder) / 2**20:,.0f} MB free){self._pace()}; make room. "
                f"What was written before is safe: `dial repair {self._folder}`"
            ) from error
        raise BagError(f"{self._folder}: the disk failed: {error}") from error
