"""A bag whose recorder was killed is read up to where it ends, and can be completed; nothing else in its folder is touched.

pytest test/unit/bags/test_repair.py
"""

import shutil
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin

from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.reader import Bag
from dial_core.bags.repair import needs_repair, repair, unfinished_bags
from dial_core.bags.synthetic import record

from .conftest import STORE
from .foreign_recordings import EXPECTED, JOINT_STATE, messages, read, write_lazily, write_rosbag2


@pytest.fixture
def killed(bag_writer, joint_bytes, tmp_path):
    """A copy, made while recording, of a bag with 100 flushed and 7 unflushed messages."""
    writer = bag_writer()
    for k in range(100):
        writer.write("/joint_states", k, k, joint_bytes(k))
        if k % 10 == 9:
            writer.flush()
    for k in range(100, 107):
        writer.write("/joint_states", k, k, joint_bytes(k))
    return shutil.copytree(writer.folder, tmp_path / "killed" / "bag")


def test_everything_flushed_is_read_from_an_unfinished_bag(killed, joint_bytes):
    bag = Bag(killed)
    assert not bag.whole
    assert bag.facts["instruction"] == "put the can on the plate"
    assert [data for _, _, data in bag.messages(["/joint_states"])] == [joint_bytes(k) for k in range(100)]


@pytest.mark.parametrize("cut", [1, 50, 333])
def test_a_record_cut_anywhere_costs_only_its_chunk(killed, cut):
    path = next(killed.glob("*.mcap"))
    path.write_bytes(path.read_bytes()[:-cut])
    read = len(list(Bag(killed).messages(["/joint_states"])))
    assert 90 <= read <= 100


def test_repair_completes_it_with_the_same_bytes(killed, joint_bytes, messages_of):
    assert unfinished_bags(killed.parent) == [killed]
    assert repair(killed).messages == 100
    assert unfinished_bags(killed.parent) == []
    assert [data for _, _, data in messages_of(killed)] == [joint_bytes(k) for k in range(100)]
    bag = Bag(killed)
    assert bag.whole
    assert bag.facts["repaired"] == "true"
    assert list(killed.parent.iterdir()) == [killed]


def test_what_is_no_bag_is_said(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(BagError, match="is no bag"):
        Bag(tmp_path / "x")
    (tmp_path / "x" / "x_0.mcap").write_bytes(b"something else")
    with pytest.raises(BagError, match="is no MCAP file"):
        Bag(tmp_path / "x")


def test_repair_keeps_what_others_put_into_the_folder(tmp_path):
    folder = write_lazily(tmp_path / "bag/x_0.mcap", finish=False, foreign=True)
    (folder / "notes.txt").write_text("gripper slipped")
    (folder / "calibration.yaml").write_text("fx: 615")
    before = list(Bag(folder).messages(Bag(folder).all_topics))
    assert repair(folder).action == "repaired"
    assert sorted(path.name for path in folder.iterdir()) == ["bag_0.mcap", "calibration.yaml", METADATA_FILE, "notes.txt"]
    bag = Bag(folder)
    assert bag.whole
    assert sorted(bag.messages(bag.all_topics)) == sorted(before)
    assert bag.all_topics["/raw"].definition.encode(errors="surrogateescape") == b"\xff\x00\xfe"


def test_a_whole_bag_is_left_alone(tmp_path):
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert repair(folder).action == "whole already, left alone"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)
def test_of_a_bag_that_lacks_only_its_metadata_nothing_else_is_written(tmp_path, storage):
    from rosbags.rosbag2 import Reader

    folder = write_rosbag2(tmp_path / "bag", storage)
    (folder / METADATA_FILE).unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert unfinished_bags(tmp_path) == [folder]
    assert repair(folder).action == "metadata.yaml written"
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != METADATA_FILE} == before
    with Reader(folder) as reader:  # an independent one
        assert len(list(reader.messages())) == len(EXPECTED)


def test_damage_costs_its_chunk_and_the_damaged_file_is_kept(tmp_path):
    folder = write_lazily(tmp_path / "bag/x_0.mcap", compression=CompressionType.NONE)
    path = folder / "x_0.mcap"
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 40] = b"\xee" * 40
    path.write_bytes(data)
    bag = Bag(folder)
    got = read(bag)
    assert set(got) < set(EXPECTED)
    assert len(got) > len(EXPECTED) // 2
    assert "a chunk of" in bag.damage[0]
    result = repair(folder)
    assert result.damage
    assert (folder / "x_0.mcap.damaged").read_bytes() == data
    assert read(Bag(folder)) == got


@pytest.mark.parametrize("interrupted_at", range(6))
def test_a_repair_that_is_interrupted_is_finished_by_the_next(tmp_path, monkeypatch, interrupted_at):
    folder = write_lazily(tmp_path / "bag/x_0.mcap", finish=False)
    got, rename, calls = read(Bag(folder)), Path.rename, []

    def interrupted(self, target):
        calls.append(target)
        if len(calls) > interrupted_at:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    try:
        repair(folder)
    except KeyboardInterrupt:
        monkeypatch.undo()
        assert needs_repair(folder)
        repair(folder)
    monkeypatch.undo()
    assert not needs_repair(folder)
    assert read(Bag(folder)) == got


def test_recordings_side_by_side_are_not_merged_by_repair(tmp_path):
    write_lazily(tmp_path / "bag/monday.mcap", finish=False)
    write_lazily(tmp_path / "bag/tuesday.mcap", finish=False)
    with pytest.raises(BagError, match="several recordings side by side"):
        repair(tmp_path / "bag")


def listed(folder: Path, *names: str) -> None:
    """Writes a metadata.yaml that lists `names` and nothing else."""
    (folder / METADATA_FILE).write_text(f"rosbag2_bagfile_information:\n  relative_file_paths: [{', '.join(names)}]\n")


@pytest.mark.parametrize("ours", ["x_0.mcap", "x_0.db3"])
@pytest.mark.parametrize("name", ["bag", "x"], ids=["other names", "named as its folder"])
@pytest.mark.parametrize("interrupted_at", [0, 1, 2, 3, 99])
def test_what_the_metadata_do_not_list_is_not_read_and_not_touched(tmp_path, monkeypatch, ours, name, interrupted_at):
    folder = write_lazily(tmp_path / name / "x_0.mcap", finish=False)
    database = next(write_rosbag2(tmp_path / "other", StoragePlugin.SQLITE3).glob("*.db3")).read_bytes()
    (folder / "x_0.db3").write_bytes(database[: len(database) * 3 // 4])
    (folder / "notes.db3-wal").write_bytes(b"the log of another database")
    listed(folder, ours)
    unread = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in (ours, METADATA_FILE)}
    got, rename, calls = read(Bag(folder)), Path.rename, []

    def interrupted(self, target):
        calls.append(target)
        if len(calls) > interrupted_at:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    try:
        repair(folder)
    except KeyboardInterrupt:
        monkeypatch.undo()
        repair(folder)
    monkeypatch.undo()
    assert not needs_repair(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in unread} == unread
    assert read(Bag(folder)) == got


def test_a_file_that_an_earlier_repair_kept_is_not_overwritten(tmp_path):
    folder = write_lazily(tmp_path / "x/x_0.mcap", compression=CompressionType.NONE)
    (folder / "x_0.mcap.damaged").write_bytes(b"kept before")
    path = folder / "x_0.mcap"
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 40] = b"\xee" * 40
    path.write_bytes(data)
    assert repair(folder).damage
    kept = [path.read_bytes() for path in sorted(folder.glob("*.damaged*"))]
    assert b"kept before" in kept
    assert bytes(data) in kept


def test_a_repair_that_is_interrupted_still_keeps_the_damaged_file(tmp_path, monkeypatch):
    folder = write_lazily(tmp_path / "bag/x_0.mcap", compression=CompressionType.NONE)
    path = folder / "x_0.mcap"
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 40] = b"\xee" * 40
    path.write_bytes(data)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dial_core.bags.repair._take_over", interrupted)
    with pytest.raises(KeyboardInterrupt):
        repair(folder)
    monkeypatch.undo()
    assert repair(folder).damage
    assert (folder / "x_0.mcap.damaged").read_bytes() == data


@pytest.mark.parametrize("finish", [True, False], ids=["damaged", "killed"])
def test_attachments_and_notes_of_another_recorder_are_kept(tmp_path, finish):
    path = tmp_path / "bag/x_0.mcap"
    path.parent.mkdir()
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=4000, compression=CompressionType.NONE)
        writer.start("ros2", "another recorder")
        writer.add_attachment(3, 4, "calibration.yaml", "text/yaml", b"fx: 615")
        writer.add_metadata("station", {"operator": "Ada"})
        definition = STORE.generate_msgdef(JOINT_STATE, ros_version=2)[0].encode()
        channel = writer.register_channel("/joint_states", "cdr", writer.register_schema(JOINT_STATE, "ros2msg", definition), {})
        for topic, _, log_ns, data in messages():
            if topic == "/joint_states":
                writer.add_message(channel, log_ns, data, log_ns)
        if finish:
            writer.finish()
    if finish:
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 3 + 40] = b"\xee" * 40
        path.write_bytes(data)
    assert repair(path.parent).action == "repaired"
    with (path.parent / "bag_0.mcap").open("rb") as file:
        reader = make_reader(file)
        (attachment,) = reader.iter_attachments()
        assert (attachment.name, attachment.media_type, attachment.data) == ("calibration.yaml", "text/yaml", b"fx: 615")
        assert (attachment.create_time, attachment.log_time) == (3, 4)
        assert {"station": {"operator": "Ada"}}.items() <= {record.name: record.metadata for record in reader.iter_metadata()}.items()


def test_a_repair_that_an_earlier_version_left_half_done_is_not_guessed(tmp_path):
    folder = record(tmp_path / "bag", seconds=0.5)
    (folder / ".repair/old").mkdir(parents=True)
    (folder / "metadata.yaml").rename(folder / ".repair/metadata.yaml")
    with pytest.raises(BagError, match=r"of an earlier version: move what lies in .*old back"):
        repair(folder)
    assert (folder / ".repair/metadata.yaml").is_file()


def test_unfinished_bags_are_found_below_folders_of_days_and_runs(tmp_path):
    folder = record(tmp_path / "2026-11-28/run_3", seconds=0.5)
    (folder / METADATA_FILE).unlink()
    assert unfinished_bags(tmp_path) == [folder]
