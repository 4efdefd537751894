"""A bag whose recorder was killed is read up to where it ends, and can be completed; nothing else in its folder is touched.

pytest test/unit/bags/test_repair.py
"""

import shutil
from pathlib import Path

import pytest
from mcap.writer import CompressionType
from rosbags.rosbag2 import StoragePlugin

from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.reader import Bag
from dial_core.bags.repair import needs_repair, repair, unfinished_bags

from .foreign_recordings import EXPECTED, read, write_lazily, write_rosbag2


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
