"""`dial data check` names what stops training on a dataset, or hurts it, by episode."""

import json
from dataclasses import replace

import numpy as np
import pyarrow
from pyarrow import parquet

from dial_core.datasets import inspection
from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import save_episode
from dial_core.datasets.inspection import check_dataset
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.stats_file import dataset_statistics, write_statistics
from dial_core.datasets.video_rows import RowFrames
from dial_core.robot.embodiment import load_embodiment

from .test_editing import change_info


def test_a_check_compares_the_first_middle_and_last_episode_of_a_file_and_decodes_one_frame_of_the_others(
    fake_dataset, tmp_path, monkeypatch
):
    dataset = fake_dataset(tmp_path / "dataset", (22,) * 7)
    compared, decoded, own_video, frames = [], [], inspection.own_video, RowFrames.frames
    monkeypatch.setattr(inspection, "own_video", lambda *given: (compared.append(given[1].index), own_video(*given))[1])
    monkeypatch.setattr(RowFrames, "frames", lambda seen, rows: (decoded.append(int(seen.numbers[0]) // 22), frames(seen, rows))[1])
    assert [finding for finding in check_dataset(dataset) if finding.kind == "error"] == []
    assert (compared, decoded) == ([0, 3, 6], [1, 2, 4, 5])


def test_frames_of_another_size_than_info_json_says_are_an_error(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (24,))
    features = {key: feature.model_dump() for key, feature in dataset.features.items()}
    features["observation.images.ego"]["shape"] = [48, 64, 3]
    change_info(dataset, features=features)
    findings = check_dataset(LeRobotDataset(dataset.folder))
    assert any("frames are 96x96, info.json says 48x64" in finding.text for finding in findings if finding.kind == "error")


def test_metadata_that_place_an_episode_between_frames_are_an_error(fake_dataset, tmp_path):
    """A reader of the frames' times finds them all the same, training does not."""
    dataset = fake_dataset(tmp_path / "dataset", (24, 24))
    file = dataset.folder / "meta/episodes/chunk-000/file-000.parquet"
    rows = parquet.read_table(file).to_pylist()
    rows[1]["videos/observation.images.ego/from_timestamp"] += 0.32
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    errors = {finding.where: finding.text for finding in check_dataset(LeRobotDataset(dataset.folder)) if finding.kind == "error"}
    assert list(errors) == ["episode 1"]
    assert "row 0 sees frame 24 of its video, its metadata say 30" in errors["episode 1"]


def test_faults_are_found_and_named_by_episode(fake_episode, tmp_path):
    good, still, wild = (fake_episode(seed, 10) for seed in range(3))
    broken = wild.actions.copy()
    broken[4, 20] = np.nan
    far = good.actions.copy()
    far[:, 18 + 7] = 3.5  # r_shoulder_pitch, whose limit is 3.0
    kinds = {
        "still": replace(still, states=np.tile(still.states[:1], (10, 1)), actions=np.tile(still.states[:1], (10, 1))),
        "wild": replace(wild, actions=broken),
        "far": replace(good, actions=far),
        "wordless": replace(good, instruction=" "),
    }
    paths = []
    for name, episode in kinds.items():
        paths.append(tmp_path / "attempts" / f"{name}.npz")
        save_episode(paths[-1], episode, 20.0)
    write_dataset(tmp_path / "dataset", paths, load_embodiment(), (96, 96))
    findings = {(finding.where, finding.kind): finding.text for finding in reversed(check_dataset(LeRobotDataset(tmp_path / "dataset")))}
    assert "action: 1 values are not finite, first in frame 4, dimension 20 (l_shoulder_yaw)" in findings["episode 1", "error"]
    assert "every action equals the state" in findings["episode 0", "warning"]
    assert "'r_shoulder_pitch' goes 0.50 rad beyond" in findings["episode 2", "warning"]
    assert "instruction is empty" in findings["episode 3", "error"]
    (tmp_path / "dataset/videos/observation.images.ego/chunk-000/file-000.mp4").write_bytes(b"no video")
    videos = [finding for finding in check_dataset(LeRobotDataset(tmp_path / "dataset")) if "cannot be read" in finding.text]
    assert len(videos) == len(kinds)


def test_missing_statistics_are_an_error_until_they_are_computed(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (24,))
    before = json.loads((dataset.folder / "meta/stats.json").read_text())
    (dataset.folder / "meta/stats.json").unlink()
    assert any("stats.json is missing" in finding.text for finding in check_dataset(LeRobotDataset(dataset.folder)))
    write_statistics(dataset.folder, dataset_statistics(dataset))
    after = json.loads((dataset.folder / "meta/stats.json").read_text())
    np.testing.assert_allclose(after["action"]["mean"], before["action"]["mean"], atol=1e-6)
    np.testing.assert_allclose(after["observation.state"]["std"], before["observation.state"]["std"], atol=1e-6)


def test_the_wrong_robot_and_rate_are_errors(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (24,))
    assert any("is of 'gr1', wanted is 'human'" in finding.text for finding in check_dataset(LeRobotDataset(dataset.folder), "human"))
    change_info(dataset, fps=30)
    assert any("is at 30 Hz, 'gr1' is controlled at 20 Hz" in finding.text for finding in check_dataset(LeRobotDataset(dataset.folder)))
    change_info(dataset, fps=20, total_episodes=7)
    assert any("1 episodes, info.json says 7" in finding.text for finding in check_dataset(LeRobotDataset(dataset.folder)))
