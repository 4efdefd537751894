"""Files `<name>_<number>` without metadata.yaml: the parts of one recording, or a demonstration each. By their log times.

pytest test/unit/bags/test_split_recordings.py
"""

import errno

import pytest

from dial_core.bags.layout import BagError
from dial_core.bags.repair import repair
from dial_core.bags.split_recordings import recordings_in

from .foreign_recordings import messages, write_mcap

S = 10**9


def files(folder, begins_s, finish=True):
    for number, begin_s in enumerate(begins_s):
        found = [(topic, kind, round(begin_s * S) + log_ns, data) for topic, kind, log_ns, data in messages(10)]
        write_mcap(folder / f"demo_{number}.mcap", found if begin_s else [], finish, chunk_size=100)
    return folder


def test_files_that_follow_one_another_are_parts_of_one_recording(tmp_path):
    assert recordings_in(files(tmp_path / "take", [1, 1.5, 2.5])) == [tmp_path / "take"]
    assert recordings_in(files(tmp_path / "killed", [1, 1.5], finish=False)) == [tmp_path / "killed"]
    assert recordings_in(files(tmp_path / "with_an_empty_part", [1, 0, 1.5])) == [tmp_path / "with_an_empty_part"]


@pytest.mark.parametrize("begins_s", [(1, 6), (1, 1.5, 60), (60, 1)], ids=["apart", "one of them apart", "numbered backwards"])
def test_files_with_time_between_them_are_recordings_of_their_own(tmp_path, begins_s):
    folder = files(tmp_path / "takes", begins_s)
    assert recordings_in(folder) == [folder / f"demo_{number}.mcap" for number in range(len(begins_s))]


def test_a_part_that_cannot_be_read_parts_nothing(tmp_path):
    folder = files(tmp_path / "take", [1, 1.5])
    (folder / "demo_2.mcap").write_bytes(b"no bag")
    assert recordings_in(folder) == [folder]


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_broken_part_in_the_middle_leaves_its_recording_whole(broken, tmp_path):
    folder = files(tmp_path / "take", [1, 7, 13])  # each lasts less than a second: without the middle one they would be apart
    (folder / f"demo_{broken}.mcap").write_bytes(bytes(1000))
    apart = recordings_in(folder) != [folder]
    assert apart == (broken != 1)  # the two that can be read are neighbours, or they say nothing


def test_a_disk_that_fails_decides_nothing(tmp_path, monkeypatch):
    def fails(path):
        raise BagError(f"{path} cannot be read") from OSError(errno.EIO, "Input/output error")

    folder = files(tmp_path / "take", [1, 1.5])
    monkeypatch.setattr("dial_core.bags.split_recordings.open_storage", fails)
    with pytest.raises(BagError, match="cannot be read"):
        recordings_in(folder)
    monkeypatch.undo()
    assert recordings_in(folder) == [folder]


def test_repair_does_not_make_one_recording_of_several_demonstrations(tmp_path):
    with pytest.raises(BagError, match="several recordings side by side"):
        repair(files(tmp_path / "takes", [1, 6], finish=False))
