"""Files that are decompressed, or copied because a killed recorder's log must be taken in: they go with whoever reads them.

pytest test/unit/bags/test_temporary_copies.py
"""

import shutil
import sqlite3
import tempfile

import pytest
import zstandard
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2.enums import CompressionMode

from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import record
from dial_core.files.disk_space import DiskFullError
from dial_core.importers.bag.conversion import BagConversion, find_bags
from dial_core.importers.bag.survey import find_in_bags

from .foreign_recordings import EXPECTED, read, write_rosbag2


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The temporary folder (TMPDIR)."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(params=["compressed", "killed"])
def copied(request, tmp_path):
    """A bag that is read from a copy: a compressed file, or a database beside the log of a killed recorder."""
    if request.param == "compressed":
        return write_rosbag2(tmp_path / "bag", StoragePlugin.MCAP, CompressionMode.FILE)
    folder = write_rosbag2(tmp_path / "whole", StoragePlugin.SQLITE3)
    database = sqlite3.connect(next(folder.glob("*.db3")))
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE more (id INTEGER)")
    database.commit()
    killed = shutil.copytree(folder, tmp_path / "bag")
    database.close()
    assert [path for path in killed.iterdir() if path.name.endswith("-wal")]
    return killed


def held(temporary):
    return [path for path in temporary.rglob("*") if path.is_file()]


def test_a_copy_goes_with_the_bag_that_reads_it(temporary, copied):
    bag = Bag(copied)
    assert read(bag) == EXPECTED
    assert held(temporary)
    messages = bag.messages(bag.topics)
    next(messages)
    del bag
    assert len(list(messages)) == len(EXPECTED) - 1  # whoever still reads keeps it
    del messages
    assert list(temporary.iterdir()) == []


def test_a_survey_of_many_bags_keeps_none_of_them_decompressed(temporary, tmp_path):
    for number in range(2):
        folder = record(tmp_path / f"bags/episode_{number}", seconds=0.3)
        file = next(folder.glob("*.mcap"))
        file.with_name(f"{file.name}.zstd").write_bytes(zstandard.compress(file.read_bytes()))
        file.unlink()
        (folder / "metadata.yaml").unlink()
    assert [group.problem for group in find_in_bags(find_bags([tmp_path / "bags"]), BagConversion()).groups] == [""]
    assert list(temporary.iterdir()) == []


def test_a_temporary_folder_without_room_is_named_before_anything_is_copied(temporary, copied, monkeypatch):
    monkeypatch.setattr("dial_core.files.disk_space.free_bytes", lambda folder: 2**20)
    with pytest.raises(DiskFullError, match=rf"{temporary}.*(bag|whole).*TMPDIR.* needs \d+ MB, the disk has 1 MB free"):
        Bag(copied)
    assert list(temporary.iterdir()) == []


def test_a_temporary_folder_that_fills_up_is_no_damage_of_the_bag(temporary, copied, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    monkeypatch.setattr("dial_core.bags.compression.zstandard.ZstdDecompressor", lambda: type("Full", (), {"copy_stream": full}))
    with pytest.raises(DiskFullError, match=rf"{temporary}.*the disk is full.*TMPDIR"):
        Bag(copied)
    assert list(temporary.iterdir()) == []


def test_a_query_that_finds_the_temporary_folder_full_is_no_damage_of_the_bag(tmp_path, monkeypatch):
    """sqlite3 sorts in the temporary folder, and takes a log in there."""
    bag = Bag(write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3))

    class Full:
        def execute(self, *_):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        def close(self): ...

    monkeypatch.setattr(bag._storages[0], "_open", Full)
    with pytest.raises(DiskFullError, match="TMPDIR"):
        read(bag)
