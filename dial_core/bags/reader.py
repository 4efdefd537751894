"""Reads rosbag2 recordings: MCAP and sqlite3, compressed or not, whole or left behind by a recorder that was killed.

The storage files alone decide what a bag holds. `metadata.yaml` is used for the order of the files and the recorder's facts, so that
a bag without one, or with one that was edited, loses nothing.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import Any

from mcap.records import Attachment, Metadata

from dial_core.bags.layout import METADATA_FILE, BagError, Topic, read_metadata
from dial_core.bags.message_types import MessageTypes
from dial_core.bags.opening import open_storage
from dial_core.bags.storage import Record, Storage, is_part_with, not_kept, one_type_each, require_storage_file, storage_files
from dial_core.files.transient import is_transient


class Bag:
    """A bag on disk.

    Attributes:
        folder: of the bag, or its one file.
        files: its storage files in order of recording.
        described: it has a readable metadata.yaml.
        whole: all files were closed; False: their recorder was killed, and they are read as far as they go.
        topics: readable ones by name.
        all_topics: foreign ones too.
        foreign: topics that cannot be read (JSON, protobuf, no definition), with the reason.
        counts: messages by topic, foreign ones included.
        missing: parts of the recording that are not there or were not read, a sentence each.
        facts: what the recorder noted: instruction, outcome, note, embodiment, ... (text by name).
    """

    def __init__(self, folder: Path) -> None:
        """Reads what the bag holds, not yet its messages. Raises BagError if there is no bag, or nothing of it can be read."""
        self.folder = Path(folder)
        metadata = read_metadata(self.folder / METADATA_FILE)
        self.described = metadata is not None
        self.missing: list[str] = []
        self.files = self._find_files(metadata.files if metadata else [])
        self.damage: list[str] = []
        self._storages = self._open()
        self.whole = not self.damage and all(storage.whole for storage in self._storages)
        self.all_topics: dict[str, Topic] = {}
        self.foreign: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        counts: Counter[str] = Counter()
        kept = self._types_by_topic()
        for storage in self._storages:
            if metadata is None:
                self._require_one_recording(storage)
            self.facts |= storage.facts
            self.foreign |= {name: why for name, why in storage.foreign.items() if name not in storage.topics}
            for name, topic in storage.topics.items():
                why = storage.foreign.get(name, "")
                if (topic.type, why) != kept[name]:
                    self.foreign.update([not_kept(topic, why, kept[name])])
                    continue
                if why:
                    self.foreign[name] = why
                self.all_topics.setdefault(name, topic)
                counts[name] += storage.counts.get(name, 0)
        self.topics = {name: topic for name, topic in self.all_topics.items() if name not in self.foreign}
        self.counts = {name: count for name, count in counts.items() if count}
        self.facts |= metadata.facts if metadata else {}

    def _require_one_recording(self, storage: Storage) -> None:
        """Raises BagError if a file notes another instruction or outcome than those before: by their names they may be parts of one."""
        for name in ("instruction", "outcome"):
            before, now = self.facts.get(name, ""), storage.facts.get(name, "")
            if before and now and before != now:
                raise BagError(
                    f"{self.folder} holds several recordings: {storage.path.name} notes the {name} '{now}', a file before it '{before}'; "
                    f"put each in a folder of its own"
                )

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, log time [ns] and CDR bytes of all messages of `topics`, in order of log time as far as damaged files allow.

        Parts that are damaged are left out and noted in `damage`.
        """
        for topic, log_ns, _, data in self.records(topics):
            yield topic, log_ns, data

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """As `messages`, with the publish time [ns] after the log time."""
        recorders = [self._of_recorder(parts, topics) for parts in _by_recorder(self._storages)]
        yield from (record for record in heapq.merge(*recorders, key=_log_time) if record[0])

    def extras(self) -> Iterator[Attachment | Metadata]:
        """Attachments and notes of another recorder, in all files."""
        for storage in self._storages:
            yield from storage.extras()
            self._note_damage(storage)

    def decode(self, topic: str, data: bytes) -> Any:
        """The message in `data`: an object with the fields of its definition; arrays of numbers are numpy arrays.

        Raises:
            BagError: the type is not known, or the bytes do not fit it.
        """
        try:
            return self._types.decode(self.topics[topic].type, data)
        except BagError as error:
            raise BagError(f"{self.folder}: topic {topic}: {error}") from error

    @cached_property
    def _types(self) -> MessageTypes:
        return MessageTypes(self.topics.values())

    def _of_recorder(self, parts: Sequence[Storage], topics: Collection[str]) -> Iterator[Record]:
        """The messages of `topics` in the parts of one recording, which are in order, and those of parts that overlap in order of time."""
        for storages in _side_by_side(parts):
            yield from heapq.merge(*(self._of(storage, topics) for storage in storages), key=_log_time)

    def _of(self, storage: Storage, topics: Collection[str]) -> Iterator[Record]:
        """The messages of `topics` in one file, after a record without topic, so that a file is not opened before its time comes.

        Then notes what of it is damaged.
        """
        yield "", storage.span[0], 0, b""
        yield from storage.records({name for name in topics if name in storage.topics and self._is_kept(storage, name)})
        self._note_damage(storage)

    def _note_damage(self, storage: Storage) -> None:
        self.damage += [note for note in (f"{storage.path.name}: {text}" for text in storage.damage) if note not in self.damage]

    def _is_kept(self, storage: Storage, name: str) -> bool:
        """Whether the messages of a topic in one file are of the type, and readable or not, as those of the bag."""
        return storage.topics[name].type == self.all_topics[name].type and storage.foreign.get(name) == self.foreign.get(name)

    def _types_by_topic(self) -> dict[str, tuple[str, str]]:
        """The type that each topic keeps, and why it is foreign, should the parts of the recording name several."""
        totals: Counter[tuple[str, str, str]] = Counter()
        for storage in self._storages:
            for name, topic in storage.topics.items():
                totals[name, topic.type, storage.foreign.get(name, "")] += storage.counts.get(name, 0)
        return one_type_each((*kind, count) for kind, count in totals.items())

    def _find_files(self, named: list[str]) -> list[Path]:
        if self.folder.is_file():
            require_storage_file(self.folder)
            return [self.folder]
        if not self.folder.is_dir():
            raise BagError(f"{self.folder} does not exist")
        there = storage_files(self.folder)
        named = [PureWindowsPath(name).name for name in named]  # wherever it was recorded: separators of both kinds
        if not there:
            gone = f" ({METADATA_FILE} lists {', '.join(named)})" if named else ""
            raise BagError(f"{self.folder} is no bag: neither an .mcap nor a .db3 file in it{gone}")
        listed = [path for path in (self.folder / name for name in named) if path in there]
        if not listed:  # renamed since, or no metadata
            return there
        parts = [path for path in there if path in listed or any(is_part_with(path, other) for other in listed)]
        self.missing = [f"{name}, which {METADATA_FILE} lists, is missing" for name in named if not _is_there(self.folder, name)]
        self.missing += [f"{path.name} is not of this recording by {METADATA_FILE} and was not read" for path in there if path not in parts]
        return parts if len(parts) > len(listed) else listed

    def _open(self) -> list[Storage]:
        """The files that can be read; those that cannot are damage, unless all are, or unless they may be readable the next time."""
        storages = []
        for path in self.files:
            try:
                storages.append(open_storage(path))
            except BagError as error:
                if len(self.files) == 1 or is_transient(error):
                    raise
                self.damage.append(str(error))
        if not storages:
            raise BagError(f"{self.folder}: none of its {len(self.files)} files can be read: {self.damage[0]}")
        return storages


def _log_time(record: Record) -> int:
    return record[1]


def _by_recorder(storages: Sequence[Storage]) -> list[list[Storage]]:
    """The files of each recorder, by their names, in the order given. Only those of one recorder are in order, whatever its clock did."""
    recorders: list[list[Storage]] = []
    for storage in storages:
        own = next((parts for parts in recorders if is_part_with(storage.path, parts[0].path)), None)
        if own is None:
            recorders.append([storage])
        else:
            own.append(storage)
    return recorders


def _side_by_side(storages: Sequence[Storage]) -> Iterator[list[Storage]]:
    """Parts whose times overlap together; others, and those that were not closed, alone."""
    together: list[Storage] = []
    for storage in storages:
        overlap = any(storage.span[0] < other.span[1] and other.span[0] < storage.span[1] for other in together)
        if together and not (overlap and storage.whole and together[0].whole):
            yield together
            together = []
        together.append(storage)
    if together:
        yield together


def _is_there(folder: Path, name: str) -> bool:
    """Whether a storage file is there, compressed or decompressed by hand since."""
    path = folder / name
    return path.exists() or path.with_suffix("").exists() or path.with_name(f"{path.name}.zstd").exists()
