"""Recordings of other programs, and what a killed recorder leaves: all topics and all messages, whatever surrounds them."""

import errno
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2.enums import CompressionMode

from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.reader import Bag
from dial_core.errors import DialError

from .foreign_recordings import EXPECTED, JOINT_STATE, STRING, messages, read, write_lazily, write_rosbag2


@pytest.mark.parametrize("compression", list(CompressionType), ids=lambda c: c.name)
def test_a_recorder_that_was_killed_loses_no_topic_and_no_closed_chunk(tmp_path, compression):
    bag = Bag(write_lazily(tmp_path / "bag/x_0.mcap", finish=False, compression=compression))
    got = read(bag)
    assert not bag.whole
    assert set(bag.topics) == {"/joint_states", "/late"}
    assert got == EXPECTED[: len(got)]
    assert len(got) > len(EXPECTED) - 5


def test_a_complete_file_whose_metadata_is_lost_is_read_whole(tmp_path):
    bag = Bag(write_lazily(tmp_path / "bag/x_0.mcap"))
    assert bag.whole
    assert not bag.described
    assert read(bag) == EXPECTED
    assert read(Bag(tmp_path / "bag/x_0.mcap")) == EXPECTED  # the file itself


@pytest.mark.parametrize("mode", [None, CompressionMode.FILE, CompressionMode.MESSAGE], ids=["plain", "file", "message"])
@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)
def test_every_storage_and_compression_is_read(tmp_path, storage, mode):
    folder = write_rosbag2(tmp_path / "bag", storage, mode)
    assert read(Bag(folder)) == EXPECTED
    assert Bag(folder).facts["instruction"] == "put the can"
    (folder / METADATA_FILE).unlink()
    assert read(Bag(folder)) == EXPECTED


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)
@pytest.mark.parametrize("profiles", [[], "", "- history: 1\n  depth: 5\n  reliability: 2\n  durability: 2\n", "not: [yaml", None])
def test_no_quality_of_service_in_the_metadata_costs_a_message(tmp_path, storage, profiles):
    folder = write_rosbag2(tmp_path / "bag", storage)
    content = yaml.safe_load((folder / METADATA_FILE).read_text())
    for topic in content["rosbag2_bagfile_information"]["topics_with_message_count"]:
        topic["topic_metadata"]["offered_qos_profiles"] = profiles
    (folder / METADATA_FILE).write_text(yaml.safe_dump(content))
    assert read(Bag(folder)) == EXPECTED


@pytest.mark.parametrize("text", ["", "rosbag2_bagfile_information:\n  version: 9\n  relat", "[1, 2]", "\x00\x01"])
def test_a_metadata_file_that_was_cut_off_costs_nothing(tmp_path, text):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.MCAP)
    (folder / METADATA_FILE).write_text(text)
    bag = Bag(folder)
    assert not bag.described
    assert read(bag) == EXPECTED


@pytest.mark.parametrize("finish", [True, False])
def test_a_foreign_channel_is_ignored_with_a_reason(tmp_path, finish):
    bag = Bag(write_lazily(tmp_path / "bag/x_0.mcap", finish=finish, foreign=True))
    assert set(bag.foreign) == {"/log", "/raw", "/bare"}
    assert bag.foreign["/log"] == "its messages are 'json', not CDR"
    assert read(bag)[:50] == EXPECTED[:50]
    assert bag.decode("/joint_states", EXPECTED[0][2]).name == ["a", "b"]
    with pytest.raises(BagError, match="topic /unknown: type nobody/msg/Knows cannot be decoded"):
        bag.decode("/unknown", b"\x00\x01\x00\x00")


def test_the_log_of_a_killed_sqlite_recorder_is_taken_in(tmp_path):
    folder = write_rosbag2(tmp_path / "whole", StoragePlugin.SQLITE3)
    source = next(folder.glob("*.db3"))
    database = sqlite3.connect(source)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, 99999, data FROM messages LIMIT 1")
    database.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for path in folder.glob("*.db3*"):
        shutil.copy(path, killed)
    database.close()
    assert [log_ns for _, log_ns, _ in read(Bag(killed))][-1] == 99999


def test_bytes_after_a_message_are_ignored_as_ros_does_and_missing_ones_are_not(tmp_path):
    bag = Bag(write_lazily(tmp_path / "bag/x_0.mcap"))
    data = EXPECTED[0][2]
    for rest in (bytes(32), b"\x01" * 32):
        assert bag.decode("/joint_states", data + rest).name == ["a", "b"]
    for wrong in (data[:-9], data[:3], b""):
        with pytest.raises(BagError, match=f"{tmp_path}.*topic /joint_states"):
            bag.decode("/joint_states", wrong)


@pytest.mark.parametrize("encoding", ["", "unknown"])
def test_types_whose_definition_the_recorder_did_not_find_are_decoded_by_their_names(tmp_path, encoding):
    """rosbag2_storage_mcap writes a schema without text where the .msg file is not installed."""
    path = tmp_path / "x_0.mcap"
    with path.open("wb") as file:
        writer = McapWriter(file)
        writer.start("ros2", "libmcap 1.3.0")
        channels = {
            topic: writer.register_channel(topic, "cdr", writer.register_schema(kind, encoding, b""))
            for topic, kind in {"/joint_states": JOINT_STATE, "/late": STRING, "/odd": "nobody/msg/Knows"}.items()
        }
        for topic, _, log_ns, data in messages():
            writer.add_message(channels[topic], log_ns, data, log_ns)
        writer.finish()
    bag = Bag(path)
    assert read(bag) == EXPECTED
    assert bag.decode("/joint_states", EXPECTED[0][2]).name == ["a", "b"]
    with pytest.raises(BagError, match="its definition is neither in the bag nor known"):
        bag.decode("/odd", EXPECTED[0][2])


def test_a_part_that_is_missing_is_reported_and_one_that_the_metadata_forgot_is_read(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.MCAP)
    (folder / "bag.mcap").rename(folder / "bag_0.mcap")
    listed = (folder / METADATA_FILE).read_text().replace("bag.mcap", "bag_0.mcap")
    (folder / METADATA_FILE).write_text(listed.replace("- bag_0.mcap", "- bag_0.mcap\n  - bag_1.mcap", 1))
    bag = Bag(folder)
    assert read(bag) == EXPECTED
    assert bag.missing == ["bag_1.mcap, which metadata.yaml lists, is missing"]
    (folder / METADATA_FILE).write_text(listed)
    shutil.copy(folder / "bag_0.mcap", folder / "bag_1.mcap")
    shutil.copy(folder / "bag_0.mcap", folder / "copy of bag.mcap")
    bag = Bag(folder)
    assert read(bag) == sorted(EXPECTED + EXPECTED, key=lambda message: message[1])
    assert bag.missing == ["copy of bag.mcap is not of this recording by metadata.yaml and was not read"]


def test_a_part_that_the_disk_does_not_give_this_time_is_no_damage(tmp_path, monkeypatch):
    """A conversion that left it out would be taken for a whole one."""
    for number in range(2):
        write_lazily(tmp_path / f"bag/x_{number}.mcap")
    opened = Path.open

    def fails(path, *args, **more):
        if path.name == "x_1.mcap":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return opened(path, *args, **more)

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(BagError, match="Input/output error"):
        Bag(tmp_path / "bag")


def test_messages_are_counted_though_a_topic_is_listed_twice(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(next(folder.glob("*.db3"))) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(topics)") if row[1] != "id"]
        names = ", ".join(columns)
        database.execute(f"INSERT INTO topics (id, {names}) SELECT 99, {names} FROM topics WHERE name = '/joint_states'")
        database.execute(
            "UPDATE messages SET topic_id = 99 WHERE timestamp > 300 AND topic_id = (SELECT id FROM topics WHERE name = '/joint_states')"
        )
    database.close()
    bag = Bag(folder)
    assert bag.counts["/joint_states"] == 60
    assert read(bag) == EXPECTED


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull")]
)
@pytest.mark.parametrize("name", ["x_0.mcap", "x_0.db3"])
def test_a_file_without_its_content_is_called_that(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DialError, match=words):
        Bag(tmp_path)
