"""Whatever the disk refuses ends in a BagError, which the recorder answers with."""

import shutil

import pytest

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import METADATA_FILE, BagError
from dial_core.bags.recording_folder import LONGEST_LABEL, LONGEST_NOTE, RecordingFolder, require_short


def test_episodes_without_a_label_are_numbered_after_the_last(tmp_path):
    folder = RecordingFolder(tmp_path / "recordings")
    folder.make()
    assert folder.bag("").name == "episode_000"
    (folder.path / "episode_007").mkdir()
    (folder.path / "something").mkdir()
    assert folder.bag("").name == "episode_008"
    assert folder.bag("mine") == folder.path / "mine"


@pytest.mark.parametrize(
    ("label", "words"), [("a" * 255, "255 characters"), ("../up", "cannot name"), ("-x", "cannot name"), ("a b", "cannot")]
)
def test_a_label_that_cannot_name_a_bag_is_refused(tmp_path, label, words):
    with pytest.raises(BagError, match=words):
        RecordingFolder(tmp_path).bag(label)


def test_the_longest_label_names_a_bag(tmp_path):
    BagWriter(RecordingFolder(tmp_path).bag("a" * LONGEST_LABEL), []).close()


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BagError, match="cannot be made"):
        RecordingFolder(tmp_path / "file" / "recordings").make()


def test_a_folder_that_was_removed_is_named_and_can_be_made_again(tmp_path):
    folder = RecordingFolder(tmp_path / "recordings")
    for refused in (folder.free_mb, lambda: folder.bag("")):
        with pytest.raises(BagError, match="recordings"):
            refused()
    folder.make()
    assert folder.free_mb() > 0


def test_a_bag_whose_file_cannot_be_opened_leaves_no_folder(tmp_path):
    with pytest.raises(BagError, match="File name too long"):
        BagWriter(tmp_path / ("a" * 255), [])
    assert list(tmp_path.iterdir()) == []


def test_a_bag_whose_folder_is_removed_cannot_be_completed(bag_writer, joint_bytes):
    writer = bag_writer()
    writer.write("/joint_states", 5, 4, joint_bytes(3))
    shutil.rmtree(writer.folder)
    with pytest.raises(BagError, match=writer.folder.name):
        writer.close()


@pytest.mark.parametrize("when", ["open", "finished"])
def test_a_bag_whose_file_is_replaced_cannot_be_completed(bag_writer, joint_bytes, when):
    """By a file of the same name, as of a repair: what is written on goes to a file that has no name any more."""
    writer = bag_writer(split_bytes=1)
    for k in range(2 if when == "finished" else 1):
        writer.write("/joint_states", k, k, joint_bytes(k))
        writer.flush()
    path = writer.folder / "bag_0.mcap"
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(copy + b"\0" * (when == "finished"))
    with pytest.raises(BagError, match=r"bag_0\.mcap was removed or replaced while it was recorded; its messages are lost"):
        writer.close()
    assert not (writer.folder / METADATA_FILE).exists()


def test_a_note_is_bounded():
    require_short("a" * LONGEST_NOTE, "note")
    with pytest.raises(BagError, match="the note has 10001 characters"):
        require_short("a" * (LONGEST_NOTE + 1), "note")
