"""Reads a rosbag2 sqlite3 file (.db3), the default of Humble, finished or not."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

from mcap.records import Attachment, Metadata

from dial_core.bags.compression import decompressed_message
from dial_core.bags.layout import BagError, Topic, facts_of_metadata, parse_qos
from dial_core.bags.storage import Record, not_kept, one_type_each
from dial_core.bags.temporary import TemporaryFolder, temporary_folder, temporary_folder_is_full
from dial_core.files.integrity import require_content

_HEAD = 100  # bytes before the first page's content
_ENCODINGS = {"ros2msg": "ros2msg", "ros2idl": "ros2idl"}


class SqliteStorage:
    """A .db3 file; see `Storage`."""

    def __init__(self, path: Path, temporary: TemporaryFolder | None = None) -> None:
        """Reads what the file holds, not yet its messages.

        Raises:
            BagError: it is not a rosbag2 database.
            DiskFullError: the temporary folder has no room for a copy beside the log of a killed recorder.
        """
        self.path, self.temporary = path, temporary
        self.topics: dict[str, Topic] = {}
        self.foreign: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.damage: list[str] = []
        self.compressed = False
        self.whole = True
        self.span = (0, 0)
        self._copied = False
        self._ids: dict[int, str] = {}
        try:
            if path.stat().st_size < 16 or path.open("rb").read(15) != b"SQLite format 3":
                require_content(path)
                raise BagError(f"{path} is no sqlite3 file: it does not begin like one")
            self._cut = _is_cut(path)
            self.whole = not self._cut
            with closing(self._open()) as database:
                self._read_topics(database)
        except (sqlite3.Error, OSError) as error:
            self._require_room(error)
            raise BagError(f"{path} is damaged: {error}; restore the file, or record it again") from error

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """All messages of `topics`; see `Storage`."""
        self.damage.clear()
        wanted = [number for number, name in self._ids.items() if name in topics]
        if not wanted:
            return
        given = 0
        marks = ",".join("?" * len(wanted))
        with closing(self._open()) as database:
            for order in ("id",) if self._cut else ("timestamp, id", "id"):  # the index of a cut file ends before its messages do
                try:
                    query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY {order}"
                    for topic, log_ns, data in database.execute(query, wanted):
                        given += 1
                        yield from self._record(topic, log_ns, data)
                    return
                except sqlite3.Error as error:
                    self._require_room(error)
                    if given:  # what comes after the damage is lost
                        self._note(f"unreadable after {given} messages: {error}")
                        return
                    self._note(str(error))  # its index is damaged: once more in order of recording

    def extras(self) -> Iterator[Attachment | Metadata]:
        """None: a database has no place for them."""
        return iter(())

    def _record(self, topic: int, log_ns: object, data: object) -> Iterator[Record]:
        if not isinstance(log_ns, int) or not isinstance(data, bytes):
            self._note(f"a message of {self._ids[topic]} is no bytes")
            return
        try:
            plain = decompressed_message(data)
        except BagError as error:
            self._note(str(error))
            return
        self.compressed |= plain is not data
        yield self._ids[topic], log_ns, log_ns, plain

    def _open(self) -> sqlite3.Connection:
        """Read only. What a killed recorder left in its log (`-wal`, `-journal`) is taken in, on a copy, as that writes to the file."""
        logs = [log for ending in ("-wal", "-journal") if (log := self.path.with_name(self.path.name + ending)).is_file()]
        if not self._copied and any(log.stat().st_size for log in logs):
            sources = [self.path, *logs]
            with temporary_folder(sum(source.stat().st_size for source in sources), f"a copy of {self.path.name}") as folder:
                for source in sources:
                    shutil.copy(source, folder.path)
            self.temporary, self._copied = folder, True
        if self._copied and self.temporary is not None:
            return _plain(sqlite3.connect(self.temporary.path / self.path.name))
        database = _plain(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True))
        if self._cut:
            database.execute("PRAGMA writable_schema = ON")  # opens what is shorter than its header says; nothing is written
        return database

    def _read_topics(self, database: sqlite3.Connection) -> None:
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            raise BagError(f"{self.path} is no rosbag2 database: it has no tables `topics` and `messages`")
        definitions = {}
        if "message_definitions" in tables:
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            definitions = {kind: (encoding, text) for kind, encoding, text in database.execute(query)}
        optional = [name if name in columns else "''" for name in ("offered_qos_profiles", "type_description_hash")]
        query = f"SELECT id, name, type, serialization_format, {', '.join(optional)} FROM topics"
        rows = database.execute(query).fetchall()
        counts = self._count(database)
        # Two rows may have one name: with other QoS, or, in merged recordings, with other types or encodings.
        kept = one_type_each((name, kind, _why_foreign(encoding), counts.get(number, 0)) for number, name, kind, encoding, _, _ in rows)
        for number, name, kind, encoding, qos, type_hash in rows:
            schema, text = definitions.get(kind, ("ros2msg", ""))
            if schema not in _ENCODINGS:
                schema, text = "ros2msg", ""
            profiles = parse_qos(qos or "")
            topic = Topic(name, kind, text or "", type_hash or "", profiles, qos if profiles else "", schema, encoding)
            why = _why_foreign(encoding)
            if (kind, why) != kept[name]:
                self.foreign.update([not_kept(topic, why, kept[name])])
                continue
            self._ids[number] = name
            self.topics[name] = topic
            if number in counts:
                self.counts[name] = self.counts.get(name, 0) + counts[number]
            if why:
                self.foreign[name] = why
        if "metadata" in tables:
            for row in database.execute("SELECT metadata FROM metadata").fetchall():
                self.facts |= facts_of_metadata(str(row[0]))

    def _count(self, database: sqlite3.Connection) -> dict[int, int]:
        """Messages by row of `topics`, as far as the file can be read."""
        counts: dict[int, int] = {}
        try:
            for topic, count in database.execute("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id"):
                counts[topic] = count
            first_ns, last_ns = database.execute("SELECT MIN(timestamp), MAX(timestamp) FROM messages").fetchone()
            self.span = first_ns or 0, last_ns or 0
        except sqlite3.Error as error:
            self._require_room(error)
            self.whole = False
            self._note(str(error))
            counts = Counter()
            with suppress(sqlite3.Error):  # one by one, up to the damage
                for (topic,) in database.execute("SELECT topic_id FROM messages ORDER BY id"):
                    counts[topic] += 1
        return counts

    def _require_room(self, error: Exception) -> None:
        """Raises DiskFullError if sqlite3 found no room where it sorts and takes logs in: that is no damage of the file."""
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise temporary_folder_is_full(f"what it needs to read {self.path.name}") from error

    def _note(self, what: str) -> None:
        if what not in self.damage:
            self.damage.append(what)


def _why_foreign(encoding: str) -> str:
    return "" if encoding == "cdr" else f"its messages are '{encoding}', not CDR"


def _is_cut(path: Path) -> bool:
    """Whether a database is shorter than the pages that its header counts."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    return len(head) == _HEAD and path.stat().st_size < pages * (65536 if page == 1 else page)


def _plain(database: sqlite3.Connection) -> sqlite3.Connection:
    database.text_factory = lambda raw: raw.decode(errors="replace")
    return database
