"""LeRobot datasets whose recorder was killed: the whole episodes are taken, and what is lost is named.

pytest test/unit/importers/test_cut_datasets.py
"""

import json

import pytest
from pyarrow import parquet

from dial_core.datasets.inspection import check_dataset
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.meta_files import read_json_lines_to_cut
from dial_core.errors import DialError
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, convert_lerobot
from dial_core.importers.lerobot.lerobot_survey import find_in_datasets

from .source_files import write_gr00t_set

ROBOCASA = LeRobotConversion("robocasa_gr1")
LIST = "meta/episodes.jsonl"


@pytest.fixture
def cut(tmp_path):
    """A v2 set of three episodes whose list ends within the third line."""
    folder = write_gr00t_set(tmp_path / "killed", lengths=(4, 3, 5))
    text = (folder / LIST).read_text()
    (folder / LIST).write_text(text[: len(text) - 20])
    return folder


def test_the_whole_episodes_are_converted_and_the_lost_one_is_named(cut, tmp_path):
    report = convert_lerobot([cut], tmp_path / "out", ROBOCASA, workers=0)
    reason = "it is not listed: meta/episodes.jsonl is cut off in line 3"
    assert (report.converted, report.failed, report.left_out) == (2, 1, {"killed, episode 2": reason})
    assert [span.length for span in LeRobotDataset(tmp_path / "out").episodes] == [4, 3]
    assert json.loads((tmp_path / "out/meta/conversion.json").read_text())["left_out"] == report.left_out
    assert find_in_datasets([cut], ROBOCASA).groups[0].unused["episode 2"] == reason


def test_without_its_file_a_lost_episode_is_counted(cut, tmp_path):
    (cut / "data/chunk-000/episode_000002.parquet").unlink()
    report = convert_lerobot([cut], tmp_path / "out", ROBOCASA, workers=0)
    assert report.left_out == {"killed, 1 further episode": "meta/episodes.jsonl is cut off in line 3"}


def test_a_recorder_that_was_killed_before_it_listed_the_last_episode_lost_it(cut, tmp_path):
    lines = (cut / LIST).read_text().splitlines()
    (cut / LIST).write_text("\n".join(lines[:2]) + "\n")
    report = convert_lerobot([cut], tmp_path / "out", ROBOCASA, workers=0)
    assert report.left_out == {"killed, episode 2": "it is not listed: info.json says 3 episodes, meta/episodes.jsonl lists 2"}


def test_of_version_3_a_cut_file_costs_its_own_episodes(fake_dataset, tmp_path):
    folder = fake_dataset(tmp_path / "v3", (4, 5, 6)).folder
    file = folder / "meta/episodes/chunk-000/file-000.parquet"
    table = parquet.read_table(file)
    parquet.write_table(table.slice(0, 2), file)
    second = file.with_name("file-001.parquet")
    parquet.write_table(table.slice(2), second)
    second.write_bytes(second.read_bytes()[:-200])
    with pytest.raises(DialError, match=r"file-001\.parquet cannot be read"):
        _ = LeRobotDataset(folder).episodes
    report = convert_lerobot([folder], tmp_path / "out", LeRobotConversion(), workers=0)
    assert report.converted == 2
    assert report.left_out["v3, 1 further episode"].startswith("meta/episodes/chunk-000/file-001.parquet cannot be read")


def test_training_takes_no_dataset_that_lost_episodes_and_the_check_names_them(cut):
    with pytest.raises(DialError, match="not valid JSON lines"):
        _ = LeRobotDataset(cut).episodes
    findings = check_dataset(LeRobotDataset(cut, accept_cut=True))
    assert ("episode 2", "it is not listed: meta/episodes.jsonl is cut off in line 3") in [(one.where, one.text) for one in findings]


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (b'{"a": 3', 3),
        (b"{", 3),
        (b'\n{"task": "\xe6\x9d', 4),  # within a character
        (b"\x00\x00\x00\x00", 3),  # as file systems leave it after a power loss
        (b"\n\n", 0),
    ],
)
def test_lines_end_where_the_recorder_was_killed(tmp_path, end, line):
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": 2}\n' + end)
    assert read_json_lines_to_cut(file) == ([{"a": 1}, {"a": 2}], line)


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": \n{"a": 3}\n', '{"a"', '{"a": 1}\nnull!\n{"a": 3}'])
def test_damage_elsewhere_than_at_the_end_is_refused(tmp_path, text):
    file = tmp_path / "lines.jsonl"
    file.write_text(text)
    with pytest.raises(DialError, match="not valid JSON lines"):
        read_json_lines_to_cut(file)
