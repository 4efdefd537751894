"""What the writer leaves for LeRobot's own tools: rates, statistics of every feature, a dataset card.

pytest test/unit/datasets/test_dataset_writer.py
"""

import json
import weakref

import numpy as np
import pytest

from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import load_episode, save_episode
from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.statistics import image_statistics
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment

LENGTHS = (24, 30)


@pytest.fixture(scope="module")
def dataset(fake_dataset, tmp_path_factory) -> LeRobotDataset:
    return fake_dataset(tmp_path_factory.mktemp("written") / "dataset", LENGTHS)


def test_every_feature_has_statistics_as_lerobot_computes_them(dataset):
    stats = json.loads((dataset.folder / "meta/stats.json").read_text())
    assert set(stats) == set(dataset.features)
    frames = np.concatenate([dataset.frames(span) for span in dataset.episodes]) / 255.0
    camera = stats["observation.images.ego"]
    assert np.shape(camera["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(camera["mean"]), frames.mean((0, 1, 2)), atol=0.02)  # of a sample of the frames
    np.testing.assert_allclose(np.ravel(camera["std"]), frames.std((0, 1, 2)), atol=0.02)
    np.testing.assert_allclose(stats["action"]["mean"], dataset.actions.mean(0), atol=1e-5)
    assert stats["action"]["count"] == [sum(LENGTHS)]
    assert stats["frame_index"]["max"] == [max(LENGTHS) - 1]
    assert stats["timestamp"]["max"][0] == pytest.approx((max(LENGTHS) - 1) / 20)
    assert all({"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"} == set(entry) for entry in stats.values())


def test_image_statistics_equal_those_of_the_pixels():
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), np.uint8)
    found, shares = image_statistics(frames), frames.reshape(-1, 3) / 255.0
    for name, expected in (("mean", shares.mean(0)), ("std", shares.std(0)), ("minimum", shares.min(0)), ("maximum", shares.max(0))):
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-9)
    np.testing.assert_allclose(found.quantiles, np.quantile(shares, [0.01, 0.1, 0.5, 0.9, 0.99], axis=0), atol=1 / 255)
    assert found.count == 3


def test_the_dataset_card_names_robot_size_and_instructions(dataset):
    card = (dataset.folder / "README.md").read_text()
    assert card.startswith("---\nlicense: unknown\ntask_categories:\n- robotics\ntags:\n- LeRobot\n")
    assert "gr1: 2 episodes" in card
    assert "- put the can on the plate" in card


def test_a_rate_that_is_no_whole_number_survives(fake_episode, tmp_path):
    """At 29.97 Hz frame 899 of a file stands at 29.997 s; a reader that takes the rate for 30 finds frame 900 there."""
    robot = load_embodiment().model_copy(update={"rate_hz": 29.97})
    paths = []
    for seed in range(6):
        paths.append(tmp_path / f"{seed}.npz")
        save_episode(paths[-1], fake_episode(seed, 150), robot.rate_hz)
    write_dataset(tmp_path / "out", paths, robot, (96, 96))
    dataset = LeRobotDataset(tmp_path / "out")
    assert dataset.rate_hz == 29.97
    span = dataset.episodes[5]
    truth = fake_episode(5, 150).frames
    for place in (0, 149):
        shown = FrameReader().read(span.video, [(span.first + place) / dataset.rate_hz])[0]
        assert np.abs(shown.astype(float) - truth[place]).mean() < 3.0
    assert np.abs(dataset.frames(span).astype(float) - truth).mean() < 3.0


def test_a_dataset_that_exists_is_replaced_only_when_the_new_one_is_complete(dataset, fake_episode, tmp_path, monkeypatch):
    path = tmp_path / "0.npz"
    save_episode(path, fake_episode(0, 5), 20.0)
    write_dataset(tmp_path / "out", [path], load_embodiment(), (96, 96))
    monkeypatch.setattr("dial_core.datasets.dataset_writer.tasks_table", lambda tasks: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_dataset(tmp_path / "out", [path, path], load_embodiment(), (96, 96))
    assert len(LeRobotDataset(tmp_path / "out").episodes) == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["0.npz", "out"]


def test_one_episode_at_a_time_is_in_memory(fake_episode, tmp_path, monkeypatch):
    paths = [tmp_path / f"{seed}.npz" for seed in range(4)]
    for seed, path in enumerate(paths):
        save_episode(path, fake_episode(seed, 5), 20.0)
    loaded = []

    def load(path):
        assert [reference for reference in loaded if reference() is not None] == []
        episode = load_episode(path)
        loaded.append(weakref.ref(episode))
        return episode

    monkeypatch.setattr("dial_core.datasets.dataset_writer.load_episode", load)
    write_dataset(tmp_path / "out", paths, load_embodiment(), (96, 96))
    assert len(loaded) == 4


LIMITS = {"episodes": (2, 100, 500), "rows": (500, 25 * 2 * 47 * 4 * 2.5 / 2**20, 500), "videos": (500, 100, 0.001)}


@pytest.mark.parametrize(("limit", "files"), [("episodes", (3, 3)), ("rows", (3, 1)), ("videos", (1, 5))])
def test_files_are_closed_when_they_are_full_and_every_reader_finds_its_episode(fake_episode, tmp_path, monkeypatch, limit, files):
    episodes, data_mb, video_mb = LIMITS[limit]
    for module in ("row_files", "camera_videos"):
        monkeypatch.setattr(f"dial_core.datasets.{module}.EPISODES_PER_FILE", episodes)
    monkeypatch.setattr("dial_core.datasets.row_files.DATA_FILE_MB", data_mb)
    monkeypatch.setattr("dial_core.datasets.camera_videos.VIDEO_FILE_MB", video_mb)
    paths, truth = [tmp_path / f"{seed}.npz" for seed in range(5)], [fake_episode(seed, 25) for seed in range(5)]
    for path, episode in zip(paths, truth, strict=True):
        save_episode(path, episode, 20.0)
    write_dataset(tmp_path / "out", paths, load_embodiment(), (96, 96))
    assert tuple(len(list((tmp_path / "out" / kind).rglob("file-*"))) for kind in ("data", "videos")) == files
    assert len(list((tmp_path / "out/meta/episodes").rglob("file-*"))) == files[0]
    dataset = LeRobotDataset(tmp_path / "out")
    for span, episode in zip(dataset.episodes, truth, strict=True):
        np.testing.assert_array_equal(dataset.columns(span)["action"].astype(np.float32), episode.actions)
        assert dataset.columns(span)["index"][:, 0].tolist() == list(range(25 * span.index, 25 * span.index + 25))
        assert np.abs(dataset.frames(span).astype(float) - episode.frames).mean() < 3.0
        shown = FrameReader().read(span.video, [(span.videos["ego"].first + 24) / 20.0])[0]
        assert np.abs(shown.astype(float) - episode.frames[24]).mean() < 3.0


def test_a_disk_without_room_is_noticed_before_anything_is_written(fake_episode, tmp_path, monkeypatch):
    path = tmp_path / "0.npz"
    save_episode(path, fake_episode(0, 5), 20.0)
    monkeypatch.setattr("dial_core.files.disk_space.free_bytes", lambda folder: 1000)
    with pytest.raises(DialError, match=r"the dataset out needs .* MB, the disk has 0 MB free"):
        write_dataset(tmp_path / "out", [path], load_embodiment(), (96, 96))
    assert not (tmp_path / "out").exists()
