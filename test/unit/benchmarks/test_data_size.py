"""The synthetic dataset is real to the reader, and its measurement fills every column.

pytest test/unit/benchmarks/test_data_size.py
"""

import json

import numpy as np
import pytest

from dial_core.benchmarks import data_size
from dial_core.benchmarks.data_size import Size, bench_size, table_of_sizes, write_synthetic
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError


def test_a_synthetic_dataset_reads_as_any_other_and_takes_one_episodes_room(tmp_path):
    dataset = LeRobotDataset(write_synthetic(tmp_path / "dataset", Size(1003, 20)))
    assert len(dataset.episodes) == 1003
    assert dataset.episodes[1002].first == 1002 * 20
    assert len(dataset.instructions) == 101
    assert dataset.frames(dataset.episodes[1002]).shape == (20, 224, 224, 3)
    np.testing.assert_array_equal(dataset.columns(dataset.episodes[0])["action"], dataset.columns(dataset.episodes[1002])["action"])
    assert dataset.episodes[0].table.stat().st_ino == dataset.episodes[1002].table.stat().st_ino


def test_each_size_is_measured_and_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(data_size, "_alone_in_a_process", lambda function, dataset: function(str(dataset)))
    monkeypatch.setattr(data_size, "_DRAWS", 20)
    monkeypatch.setattr(data_size, "_DECODED", 2)
    reports = bench_size([Size(3, 20)], tmp_path / "not" / "there")
    assert (reports[0].episodes, reports[0].frames) == (3, 20)
    assert min(reports[0].draws_per_s, reports[0].decoded_per_s, reports[0].gather_s, reports[0].open_s) > 0
    assert table_of_sizes(reports).row_count == 1
    assert not list((tmp_path / "not/there").iterdir())


@pytest.mark.parametrize("text", ["24000", "x250", "0x250", "many", json.dumps({})])
def test_a_size_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(DialError, match="is not EPISODESxFRAMES, such as 24000x250"):
        Size.parse(text)
