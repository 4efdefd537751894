"""A bag that is still being recorded, by whatever program, is not repaired: it is named and left as it is.

pytest test/unit/bags/test_live_recording.py
"""

import os
import sqlite3

import pytest
from rosbags.rosbag2 import StoragePlugin

from dial_core.bags import live_recording
from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair, unfinished_bags

from .foreign_recordings import write_lazily, write_rosbag2


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Clock:
    """In the place of the module `time`: nobody waits, and the recorder writes whenever somebody would."""

    def __init__(self, now_s, write):
        self.now_s, self.write = now_s, write

    def time(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
        self.write()


def test_a_bag_of_our_own_recorder_is_left_alone_while_it_records(bag_writer, joint_bytes):
    writer = bag_writer()
    for k in range(100):
        writer.write("/joint_states", k, k, joint_bytes(k))
    writer.flush()
    before = content(writer.folder)
    assert unfinished_bags(writer.folder.parent) == [writer.folder]
    with pytest.raises(BagError, match=r"bag_0\.mcap is still being recorded; stop its recorder"):
        repair(writer.folder)
    assert content(writer.folder) == before
    for k in range(100, 200):
        writer.write("/joint_states", k, k, joint_bytes(k))
    writer.close()
    assert Bag(writer.folder).counts == {"/joint_states": 200}


def test_a_bag_without_a_message_yet_is_not_called_empty_while_it_is_recorded(bag_writer):
    writer = bag_writer()
    with pytest.raises(BagError, match="still being recorded"):
        repair(writer.folder)
    writer.abandon()
    with pytest.raises(BagError, match="not one message can be read"):
        repair(writer.folder)


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)
def test_a_file_that_a_process_has_open_for_writing_is_left_alone(tmp_path, storage):
    folder = write_rosbag2(tmp_path / "bag", storage)
    (folder / METADATA_FILE).unlink()
    before = content(folder)
    with next(folder.glob("bag*")).open("ab"):
        with pytest.raises(BagError, match=rf"bag\.\w+ is still being recorded: process {os.getpid()} has it open for writing"):
            repair(folder)
        assert content(folder) == before
    with next(folder.glob("bag*")).open("rb"):  # whoever reads it records nothing
        assert repair(folder).action == "metadata.yaml written"


def test_a_file_that_a_recorder_elsewhere_writes_to_is_left_alone(tmp_path, monkeypatch):
    """In a container, or on another machine: neither its lock nor its process can be seen."""
    folder = write_lazily(tmp_path / "bag/x_0.mcap", finish=False)
    path = folder / "x_0.mcap"
    monkeypatch.setattr(live_recording, "QUIET_S", 10.0)
    monkeypatch.setattr(live_recording, "time", Clock(path.stat().st_mtime + 3.0, lambda: path.open("ab").write(b"\0")))
    with pytest.raises(BagError, match=r"x_0\.mcap is still being recorded: it was written to just now"):
        repair(folder)
    assert [path.name for path in folder.iterdir()] == ["x_0.mcap"]


@pytest.mark.parametrize("ahead_s", [0.0, 3600.0], ids=["one clock", "a file server whose clock is ahead"])
def test_a_file_that_was_written_to_just_now_is_watched_until_it_is_at_rest(tmp_path, monkeypatch, ahead_s):
    folder = write_lazily(tmp_path / "bag/x_0.mcap", finish=False)
    clock = Clock((folder / "x_0.mcap").stat().st_mtime - ahead_s + 3.0, lambda: None)
    begin_s = clock.now_s
    monkeypatch.setattr(live_recording, "QUIET_S", 10.0)
    monkeypatch.setattr(live_recording, "time", clock)
    assert repair(folder).action == "repaired"
    assert clock.now_s - begin_s == pytest.approx(10.0 if ahead_s else 7.0, abs=1e-3)


def test_a_file_that_grows_while_it_is_repaired_is_left_alone(tmp_path, monkeypatch):
    folder = write_lazily(tmp_path / "bag/x_0.mcap", finish=False)
    path, rewrite = folder / "x_0.mcap", repair.__globals__["_rewrite"]

    def meanwhile(*arguments):
        rewrite(*arguments)
        path.write_bytes(path.read_bytes() + b"\0")

    monkeypatch.setattr("dial_core.bags.repair._rewrite", meanwhile)
    with pytest.raises(BagError, match="written to just now"):
        repair(folder)
    assert [path.name for path in folder.iterdir()] == ["x_0.mcap"]


@pytest.fixture
def wal_recorder(tmp_path, monkeypatch):
    """(folder, database, clock): a recording in WAL mode, at rest for 3 s by `clock`, whose recorder no process list of ours shows."""
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    (folder / METADATA_FILE).unlink()
    with sqlite3.connect(next(folder.glob("*.db3")), isolation_level=None) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        monkeypatch.setattr(live_recording, "_PROCESSES", tmp_path / "elsewhere")
        monkeypatch.setattr(live_recording, "QUIET_S", 10.0)
        clock = Clock(max(path.stat().st_mtime for path in folder.iterdir()) + 3.0, lambda: None)
        monkeypatch.setattr(live_recording, "time", clock)
        yield folder, database, clock
    database.close()


def record(database) -> None:
    database.execute("INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, timestamp + 1, data FROM messages LIMIT 1")


@pytest.mark.parametrize("logged", [True, False], ids=["a log that grows", "a log that appears"])
def test_a_database_whose_log_is_written_to_is_left_alone(wal_recorder, logged):
    folder, database, clock = wal_recorder
    if logged:
        record(database)
    clock.write = lambda: record(database)
    before = next(folder.glob("*.db3")).read_bytes()
    with pytest.raises(BagError, match=r"\.db3 is still being recorded: it was written to just now"):
        repair(folder)
    assert next(folder.glob("*.db3")).read_bytes() == before
    assert not (folder / METADATA_FILE).exists()


def test_a_log_that_was_written_to_just_now_is_watched_though_its_database_is_at_rest(wal_recorder):
    folder, database, clock = wal_recorder
    record(database)
    database_file, log = next(folder.glob("*.db3")), next(folder.glob("*-wal"))
    begin_s = clock.now_s = log.stat().st_mtime + 3.0
    os.utime(database_file, (begin_s - 1000.0, begin_s - 1000.0))
    repair(folder)
    assert clock.now_s - begin_s == pytest.approx(7.0, abs=1e-3)
