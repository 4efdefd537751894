import json

import numpy as np
import pytest
from pyarrow import parquet

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.video import JoinedVideo, coding_of, encode, read_video
from dial_core.errors import DialError

LENGTHS = (24, 30, 20)


@pytest.fixture(scope="module")
def dataset(fake_dataset, tmp_path_factory) -> LeRobotDataset:
    return fake_dataset(tmp_path_factory.mktemp("lerobot") / "dataset", LENGTHS)


def test_states_actions_and_instructions_come_back_exactly(dataset, fake_episode):
    for seed, span in enumerate(dataset.episodes):
        episode, rows = fake_episode(seed, LENGTHS[seed]), slice(span.first, span.first + span.length)
        np.testing.assert_array_equal(dataset.states[rows], episode.states)
        np.testing.assert_array_equal(dataset.actions[rows], episode.actions)
        assert (span.instruction, span.seed, span.facts) == (episode.instruction, seed, episode.facts)


def test_colours_survive_the_video(dataset, fake_episode):
    for seed, span in enumerate(dataset.episodes):
        difference = np.abs(dataset.frames(span).astype(float) - fake_episode(seed, LENGTHS[seed]).frames)
        assert difference.mean() < 3.0
        assert np.percentile(difference, 99) < 8.0


def test_an_episodes_frames_are_its_stretch_of_the_shared_video(dataset):
    one_by_one = np.concatenate([dataset.frames(span) for span in dataset.episodes])
    np.testing.assert_array_equal(np.stack(list(read_video(dataset.episodes[0].video))), one_by_one)


def test_the_layout_is_lerobot_version_3(dataset):
    info = json.loads((dataset.folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, sum(LENGTHS), 2)
    key = "observation.images.ego"
    for path in (info["data_path"], info["video_path"]):
        assert (dataset.folder / path.format(chunk_index=0, file_index=0, video_key=key)).is_file()
    frames = parquet.read_table(dataset.folder / "data/chunk-000/file-000.parquet")
    assert set(frames.column_names) == set(info["features"]) - {key}
    assert frames["index"].to_pylist() == list(range(sum(LENGTHS)))
    tasks = parquet.read_table(dataset.folder / "meta/tasks.parquet")
    assert tasks["task"].to_pylist() == ["put the can on the plate", "put the cup on the plate"]
    stats = json.loads((dataset.folder / "meta/stats.json").read_text())
    assert len(stats["action"]["mean"]) == 47


def test_modality_names_every_dimension_once(dataset):
    parts = json.loads((dataset.folder / "meta/modality.json").read_text())["action"].values()
    covered = [dimension for part in parts for dimension in range(part["start"], part["end"])]
    assert sorted(covered) == list(range(47))


def test_joined_videos_are_not_coded_again(fake_episode, tmp_path):
    videos = [encode(fake_episode(seed, 7).frames, 20.0) for seed in (0, 1)]
    with JoinedVideo(tmp_path / "joined.mp4", coding_of(videos[0]), 20.0) as joined:
        assert [joined.add(video) for video in videos] == [7, 7]
    apart = [frame for video in videos for frame in read_video(video)]
    np.testing.assert_array_equal(np.stack(list(read_video(tmp_path / "joined.mp4"))), np.stack(apart))


def test_a_folder_without_a_dataset_is_named(tmp_path):
    with pytest.raises(DialError, match=r"info\.json is missing"):
        LeRobotDataset(tmp_path)
