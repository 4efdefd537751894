"""Bags whose parts contradict each other: two types under one name, a transaction that was interrupted, paths of another computer.

pytest test/unit/bags/test_contradictory_bags.py
"""

import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin

from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair
from dial_core.bags.synthetic import record

from .conftest import STORE
from .foreign_recordings import EXPECTED, JOINT_STATE, STRING, messages, read, string, write_rosbag2

JOINTS = "/joint_states"
WRONG = [(JOINTS, STRING, -10 + k, string("hello")) for k in range(5)]
RIGHT = [message for message in messages() if message[0] == JOINTS]
REASON = f"the topic has another type too, {JOINT_STATE}"


def write_mcap(path: Path, content, finish: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {}
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=500)
        writer.start("ros2", "merged")
        for topic, kind, log_ns, data in content:
            if (topic, kind) not in channels:
                definition = STORE.generate_msgdef(kind, ros_version=2)[0].encode()
                channels[topic, kind] = writer.register_channel(topic, "cdr", writer.register_schema(kind, "ros2msg", definition), {})
            writer.add_message(channels[topic, kind], log_ns + 10, data, log_ns + 10)
        if finish:
            writer.finish()
    return path.parent


def require_right_type(bag: Bag) -> None:
    assert bag.topics[JOINTS].type == JOINT_STATE
    assert bag.foreign == {f"{JOINTS} ({STRING})": REASON}
    found = [data for _, _, data in bag.messages({JOINTS})]
    assert found == [data for *_, data in RIGHT][: len(found)]
    assert bag.counts[JOINTS] == len(found) > len(RIGHT) - 10


@pytest.mark.parametrize("finish", [True, False], ids=["whole", "killed"])
@pytest.mark.parametrize("content", [WRONG + RIGHT, RIGHT[:20] + WRONG + RIGHT[20:]], ids=["wrong first", "wrong between"])
def test_of_two_types_under_one_name_the_one_with_more_messages_is_read(tmp_path, content, finish):
    require_right_type(Bag(write_mcap(tmp_path / "bag/x_0.mcap", content, finish)))


@pytest.mark.parametrize("number", [0, 99], ids=["wrong first", "wrong last"])
def test_two_types_under_one_name_in_sqlite_do_not_mix(tmp_path, number):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(next(folder.glob("*.db3"))) as database:
        database.execute(
            "INSERT INTO topics SELECT ?, name, ?, serialization_format, offered_qos_profiles, type_description_hash FROM topics "
            "WHERE name = ?",
            (number, STRING, JOINTS),
        )
        for _, _, log_ns, data in WRONG:
            database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", (number, log_ns, data))
    require_right_type(Bag(folder))


def test_parts_of_a_recording_with_two_types_do_not_mix(tmp_path):
    write_mcap(tmp_path / "bag/x_0.mcap", WRONG)
    require_right_type(Bag(write_mcap(tmp_path / "bag/x_1.mcap", RIGHT)))


def write_with_json(path: Path, finish: bool = True, cdr: bool = True, json: bool = True) -> Path:
    """Joint states as CDR, and one as JSON under the same name and type: a web client advertised it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=500)
        writer.start("ros2", "foxglove_bridge")
        if json:
            schema = writer.register_schema(JOINT_STATE, "jsonschema", b'{"type": "object"}')
            writer.add_message(writer.register_channel(JOINTS, "json", schema), 5, b'{"name": ["a"]}', 5)
        if cdr:
            definition = STORE.generate_msgdef(JOINT_STATE, ros_version=2)[0].encode()
            channel = writer.register_channel(JOINTS, "cdr", writer.register_schema(JOINT_STATE, "ros2msg", definition))
            for _, _, log_ns, data in RIGHT:
                writer.add_message(channel, log_ns + 10, data, log_ns + 10)
        if finish:
            writer.finish()
    return path.parent


def require_cdr(bag: Bag) -> None:
    assert bag.topics[JOINTS].encoding == "cdr"
    assert bag.foreign == {f"{JOINTS} (json)": "its messages are 'json', not CDR"}
    found = [data for _, _, data in bag.messages({JOINTS})]
    assert found == [data for *_, data in RIGHT][: len(found)]
    assert bag.counts[JOINTS] == len(found) > len(RIGHT) - 10


@pytest.mark.parametrize("finish", [True, False], ids=["whole", "killed"])
def test_messages_of_another_encoding_do_not_cost_a_topic_those_that_can_be_read(tmp_path, finish):
    require_cdr(Bag(write_with_json(tmp_path / "bag/x_0.mcap", finish)))


def test_parts_of_a_recording_in_two_encodings_do_not_mix(tmp_path):
    write_with_json(tmp_path / "bag/x_0.mcap", cdr=False)
    require_cdr(Bag(write_with_json(tmp_path / "bag/x_1.mcap", json=False)))


def test_two_encodings_under_one_name_in_sqlite_do_not_mix(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(next(folder.glob("*.db3"))) as database:
        database.execute(
            "INSERT INTO topics SELECT 99, name, type, 'json', offered_qos_profiles, type_description_hash FROM topics WHERE name = ?",
            (JOINTS,),
        )
        database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (99, 5, ?)", (b'{"name": ["a"]}',))
    require_cdr(Bag(folder))


def test_repair_keeps_the_file_with_the_messages_of_the_other_encoding(tmp_path):
    folder = write_with_json(tmp_path / "bag/x_0.mcap", finish=False)
    assert repair(folder).damage == (f"{JOINTS} (json): its messages are 'json', not CDR",)
    assert (folder / "x_0.mcap.damaged").is_file()


def test_repair_keeps_the_file_with_the_messages_of_the_other_type(tmp_path):
    folder = write_mcap(tmp_path / "bag/x_0.mcap", WRONG + RIGHT, finish=False)
    assert repair(folder).damage == (f"{JOINTS} ({STRING}): {REASON}",)
    assert (folder / "x_0.mcap.damaged").is_file()


def test_a_transaction_that_was_interrupted_is_rolled_back_on_a_copy(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    file = next(folder.glob("*.db3"))
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA cache_size = 1")  # what is changed is written at once
    database.execute("BEGIN")
    database.execute("DELETE FROM messages WHERE id % 2")
    shutil.copytree(folder, tmp_path / "killed")
    database.close()
    killed = tmp_path / "killed"
    assert (killed / f"{file.name}-journal").stat().st_size
    before = (killed / file.name).read_bytes()
    assert read(Bag(killed)) == EXPECTED
    assert (killed / file.name).read_bytes() == before


@pytest.mark.parametrize("path", ["/home/someone/recordings/{}", "C:\\recordings\\{}", "bag\\{}"])
def test_paths_of_another_computer_name_files_in_the_folder(tmp_path, path):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.MCAP)
    content = yaml.safe_load((folder / METADATA_FILE).read_text())
    names = [next(folder.glob("*.mcap")).name, "bag_7.mcap"]
    content["rosbag2_bagfile_information"]["relative_file_paths"] = [path.format(name) for name in names]
    (folder / METADATA_FILE).write_text(yaml.safe_dump(content))
    bag = Bag(folder)
    assert read(bag) == EXPECTED
    assert bag.missing == [f"bag_7.mcap, which {METADATA_FILE} lists, is missing"]
    next(folder.glob("*.mcap")).unlink()
    with pytest.raises(BagError, match=rf"is no bag: .* \(metadata\.yaml lists {names[0]}, bag_7\.mcap\)"):
        Bag(folder)


def changed_database(folder: Path, *statements: str) -> Path:
    """The storage file of a bag in sqlite3, on which the statements were executed."""
    file = next(write_rosbag2(folder, StoragePlugin.SQLITE3).glob("*.db3"))
    database = sqlite3.connect(file, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()
    return file


CHANGES = {
    "as recorded": (),
    "its last message stamped early": ("UPDATE messages SET timestamp = 15 WHERE id = (SELECT max(id) FROM messages)",),
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_database_that_was_cut_off_gives_the_messages_before_the_cut(tmp_path, changes):
    """A copy that ended early, or a power loss: sqlite refuses to open what is shorter than its header says."""
    folder, file = tmp_path / "bag", changed_database(tmp_path / "bag", *changes)
    before = file.read_bytes()[: file.stat().st_size * 3 // 4]
    file.write_bytes(before)
    bag = Bag(folder)
    found = read(bag)
    assert not bag.whole
    assert found == EXPECTED[: len(found)]
    assert len(found) > len(EXPECTED) // 2
    assert sum(bag.counts.values()) - len(found) in (0, 1), "the message across the cut is counted and cannot be read"
    assert "malformed" in " ".join(bag.damage)
    assert file.read_bytes() == before
    assert repair(folder).messages == len(found)
    assert read(Bag(folder)) == found
    assert (folder / f"{file.name}.damaged").read_bytes() == before


@pytest.mark.parametrize("page_bytes", [4096, 65536])
def test_a_cut_database_that_lost_no_message_is_completed_too_since_others_cannot_open_it(tmp_path, page_bytes):
    sized = (f"PRAGMA page_size = {page_bytes}", "VACUUM")
    free_pages = ("CREATE TABLE filler (data BLOB)", "INSERT INTO filler VALUES (zeroblob(200000))", "DROP TABLE filler")
    file = changed_database(tmp_path / "bag", *sized, *free_pages)
    file.write_bytes(file.read_bytes()[:-page_bytes])
    bag = Bag(tmp_path / "bag")
    assert read(bag) == EXPECTED
    assert not bag.whole
    assert repair(tmp_path / "bag").messages == len(EXPECTED)
    assert read(Bag(tmp_path / "bag")) == EXPECTED


@pytest.mark.parametrize(("facts", "names"), [({"instruction": "place B"}, "instruction 'place B'"), ({"outcome": "failure"}, "outcome")])
def test_recordings_of_two_instructions_in_one_folder_are_not_read_as_one(tmp_path, facts, names):
    for number, noted in enumerate(({"instruction": "pick A"}, {"instruction": "pick A"} | facts)):
        made = record(tmp_path / f"one_{number}", seconds=0.5, **noted)
        (tmp_path / "both").mkdir(exist_ok=True)
        next(made.glob("*.mcap")).rename(tmp_path / f"both/episode_{number}.mcap")
    with pytest.raises(BagError, match=rf"holds several recordings: episode_1\.mcap notes the {names}.*a folder of its own"):
        Bag(tmp_path / "both")
