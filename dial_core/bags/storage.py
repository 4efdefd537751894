"""The interface of a storage file's reader, and how a bag's files are found."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from mcap.records import Attachment, Metadata

from dial_core.bags.layout import BagError, Topic
from dial_core.bags.temporary import TemporaryFolder

STORAGE_ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")

Record = tuple[str, int, int, bytes]
"""One message as it lies in a bag: topic, log time [ns], publish time [ns], CDR bytes."""


class Storage(Protocol):
    """One storage file.

    Attributes:
        path: of the file.
        topics: by name.
        foreign: those of them whose messages cannot be read, with the reason.
        facts: what a recorder noted (text by name).
        counts: messages by topic, foreign ones included.
        compressed: a message that was read lay compressed in the file.
        span: first and last log time [ns]; zeros if it has no message.
        whole: it was closed and its index is there.
        damage: what of it cannot be read; grows while messages are read.
        temporary: the folder that holds what is read, if it is a copy; it goes with the reader.
    """

    path: Path
    topics: dict[str, Topic]
    foreign: dict[str, str]
    facts: dict[str, str]
    counts: dict[str, int]
    compressed: bool
    span: tuple[int, int]
    whole: bool
    damage: list[str]
    temporary: TemporaryFolder | None

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """All messages of `topics`, in order of log time as far as the file's own order allows. Damaged parts are left out."""
        ...

    def extras(self) -> Iterator[Attachment | Metadata]:
        """Attachments and notes of another recorder, which stand beside the messages, as far as they can be read."""
        ...


def one_type_each(kinds: Iterable[tuple[str, str, str, int]]) -> dict[str, tuple[str, str]]:
    """The type that each topic keeps, with the reason why it is foreign, of (topic, type, that reason or "", messages).

    Readable messages come before foreign ones, then the more numerous ones, the first of equals. Merged recordings may hold two types or
    encodings under one name; messages of the other one would be taken for those of the first.
    """
    kept: dict[str, tuple[tuple[str, str], tuple[bool, int]]] = {}
    for topic, kind, why, count in kinds:
        weight = (not why, count)
        if topic not in kept or weight > kept[topic][1]:
            kept[topic] = ((kind, why), weight)
    return {topic: kind for topic, (kind, _) in kept.items()}


def not_kept(topic: Topic, why: str, kept: tuple[str, str]) -> tuple[str, str]:
    """The entry of `Storage.foreign` for messages of `topic` beside those that `one_type_each` chose; `why`: they are foreign, or ""."""
    if topic.type == kept[0]:
        return f"{topic.name} ({topic.encoding})", why
    return f"{topic.name} ({topic.type})", f"the topic has another type too, {kept[0]}"


def storage_files(folder: Path) -> list[Path]:
    """The storage files in a folder, in order of recording; those whose names begin with a dot are ignored."""
    found = {path for path in folder.iterdir() if path.name.endswith(STORAGE_ENDINGS) and not path.name.startswith(".") and path.is_file()}
    # A file that was decompressed by hand stands beside its original: one of them is enough.
    return sorted((path for path in found if path.with_suffix("") not in found or path.suffix != ".zstd"), key=_order)


def name_of_recording(path: Path) -> str:
    """Name of a storage file without endings and the number that rosbag2 gives to the parts of a split recording, `<name>_<number>`."""
    return re.sub(r"_\d+$", "", path.name.split(".")[0])


def is_part_with(path: Path, other: Path) -> bool:
    """Whether two storage files are parts of one split recording by their names, `<name>_<number>` with one ending."""
    return name_of_recording(path) == name_of_recording(other) and path.name.split(".")[1:] == other.name.split(".")[1:]


def require_storage_file(path: Path) -> None:
    """Raises BagError unless `path` has the ending of a storage file."""
    if not path.name.endswith(STORAGE_ENDINGS):
        raise BagError(f"{path} is no bag: a bag is a folder of {', '.join(STORAGE_ENDINGS)} files, or one of them")


def _order(path: Path) -> tuple[str, int, str]:
    number = re.search(r"_(\d+)$", path.name.split(".")[0])
    return name_of_recording(path), int(number[1]) if number else -1, path.name
