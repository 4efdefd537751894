"""A dataset's vectors are gathered once, and opened as memory maps after that.

pytest test/unit/training/test_mapped_dataset.py
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.training import mapped_dataset
from dial_core.training.mapped_dataset import MappedDataset, features_folder


def test_vectors_are_those_of_the_dataset_as_memory_maps(fake_dataset, tmp_path):
    plain = fake_dataset(tmp_path / "dataset", (20, 31, 25))
    mapped = MappedDataset(plain.folder)
    np.testing.assert_array_equal(mapped.states, plain.states)
    np.testing.assert_array_equal(mapped.actions, plain.actions)
    assert isinstance(mapped.states, np.memmap)
    assert mapped.frame_count == 76
    assert mapped.action_mask is None


def test_they_are_gathered_by_several_processes_as_by_one(fake_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_dataset, "_EPISODES_PER_JOB", 1)
    plain = fake_dataset(tmp_path / "dataset", (20, 31))
    np.testing.assert_array_equal(MappedDataset(plain.folder, workers=2).actions, plain.actions)


def test_they_are_read_once_and_again_only_if_the_data_changed(fake_dataset, tmp_path, monkeypatch):
    folder = fake_dataset(tmp_path / "dataset").folder
    MappedDataset(folder).gather()

    def read(self, span):
        raise DialError("read")

    monkeypatch.setattr(LeRobotDataset, "columns", read)
    assert len(MappedDataset(folder).states)
    table = MappedDataset(folder).episodes[0].table
    os.utime(table, ns=(0, 0))
    with pytest.raises(DialError, match="read"):
        MappedDataset(folder).gather()


def test_its_content_is_that_of_a_copy_and_another_one_if_a_number_a_word_or_a_video_changes(fake_dataset, tmp_path):
    folder = fake_dataset(tmp_path / "dataset").folder
    before = MappedDataset(folder).content
    copied = MappedDataset(Path(shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("features"))))
    assert copied.content == before
    video = copied.episodes[0].video
    video.write_bytes(video.read_bytes() + b"more")
    with_other_frames = MappedDataset(copied.folder).content
    file = copied.episodes[0].table
    table = parquet.read_table(file)
    values = np.stack(table["action"].to_pylist())
    values[3, 20] += 1e-3
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1).astype(np.float32)), values.shape[1])
    parquet.write_table(table.set_column(table.schema.get_field_index("action"), "action", column), file)
    with_other_actions = MappedDataset(copied.folder).content
    assert len({before, with_other_frames, with_other_actions}) == 3


def test_a_dataset_that_cannot_be_written_to_keeps_them_in_the_users_cache(fake_dataset, tmp_path, monkeypatch):
    folder = fake_dataset(tmp_path / "dataset").folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert features_folder(folder).is_relative_to(tmp_path / "cache/dial")
    assert len(MappedDataset(folder).states)
    assert not (folder / "features").exists()
