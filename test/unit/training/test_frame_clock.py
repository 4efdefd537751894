"""Training from pixels sees the frames that `images: cached` sees, whatever the videos' clocks say.

pytest test/unit/training/test_frame_clock.py
"""

import os
from fractions import Fraction

import av
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.video import read_video
from dial_core.errors import DialError
from dial_core.observation.camera_view import CameraView
from dial_core.training import frame_clock as module
from dial_core.training.augmentation import ImageAugmentation
from dial_core.training.frame_clock import frame_clock
from dial_core.training.mapped_dataset import MappedDataset
from dial_core.training.streams import Pixels

VIEW = CameraView(name="ego", height=96, width=96)


def pixels_of(folder) -> np.ndarray:
    """What training from pixels sees of all rows, two at a time and the newer one first."""
    dataset = MappedDataset(folder)
    views, rng = Pixels(dataset, ImageAugmentation(), "ego", VIEW), np.random.default_rng(0)
    return np.concatenate(
        [
            views.take(np.array([row, span.first]), rng)[:1].numpy()
            for span in dataset.episodes
            for row in range(span.first, span.first + span.length)
        ]
    )


def every_frame(folder) -> np.ndarray:
    dataset = LeRobotDataset(folder)
    return np.concatenate([dataset.frames(span) for span in dataset.episodes])


def muxed_again(dataset, rate, lead=0, count=None) -> None:
    """Stores the video's first `count` frames at `rate`, after `lead` copies of the first one."""
    video = dataset.episodes[0].video
    frames = list(read_video(video))[:count]
    with av.open(str(video.with_name("again.mp4")), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv444p"
        stream.options = {"crf": "4", "g": "8"}
        for frame in [*frames[:1] * lead, *frames]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    os.replace(video.with_name("again.mp4"), video)


def test_frames_are_those_of_the_cached_path_in_a_dataset_of_ours(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (12, 9))
    seen = pixels_of(dataset.folder)
    np.testing.assert_array_equal(seen, every_frame(dataset.folder))
    by_rate = FrameReader().read(dataset.episodes[0].video, np.arange(21) / dataset.rate_hz)
    np.testing.assert_array_equal(seen, by_rate)


@pytest.mark.parametrize("rate", [10, 25, Fraction(20000, 1001)])
def test_a_clock_of_another_rate_changes_no_frame(fake_dataset, tmp_path, rate):
    dataset = fake_dataset(tmp_path / "dataset", (12, 9))
    right = every_frame(dataset.folder)
    muxed_again(dataset, rate)
    seen = pixels_of(dataset.folder)
    np.testing.assert_array_equal(seen, every_frame(dataset.folder))
    assert np.abs(seen.astype(float) - right).mean() < 3.0


def test_rows_that_were_cut_from_the_beginning_see_their_own_frames(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (12,))
    right = every_frame(dataset.folder)
    muxed_again(dataset, 20, lead=6)
    table = dataset.episodes[0].table
    rows = parquet.read_table(table)
    place = rows.schema.get_field_index("timestamp")
    late = pyarrow.array(np.float32(0.3) + rows["timestamp"].to_numpy(), pyarrow.float32())
    parquet.write_table(rows.set_column(place, rows.schema.field(place), late), table)
    assert np.abs(pixels_of(dataset.folder).astype(float) - right).mean() < 3.0


def test_times_are_found_once_and_again_where_a_video_changed(fake_dataset, tmp_path, monkeypatch):
    dataset = fake_dataset(tmp_path / "dataset", (12, 9))
    found = frame_clock(dataset, "ego")[np.arange(21)]
    np.testing.assert_allclose(found, np.arange(21) / 20.0)

    def read(self, span, camera):
        raise DialError("read")

    monkeypatch.setattr(LeRobotDataset, "row_frames", read)
    np.testing.assert_array_equal(frame_clock(dataset, "ego")[np.arange(21)], found)
    video = dataset.episodes[0].video
    video.write_bytes(video.read_bytes() + b"more")
    with pytest.raises(DialError, match="read"):
        frame_clock(dataset, "ego")


def test_several_processes_find_the_times_that_one_finds(fake_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_EPISODES_PER_JOB", 1)
    dataset = fake_dataset(tmp_path / "dataset", (12, 9))
    np.testing.assert_allclose(frame_clock(dataset, "ego", workers=2)[np.arange(21)], np.arange(21) / 20.0)


def test_a_video_that_ends_before_its_rows_is_refused_before_training(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset", (12,))
    muxed_again(dataset, 20, count=6)
    with pytest.raises(DialError, match=r"ends 0\.30 s before its 12 rows"):
        frame_clock(dataset, "ego")
