import pickle

import numpy as np
import pytest

from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.video import read_frames, write_video
from dial_core.errors import DialError

RATE_HZ = 20.0


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """90 frames; frame k is brightness 2 k."""
    path = tmp_path_factory.mktemp("video") / "episode.mp4"
    write_video(path, (np.full((32, 48, 3), 2 * k, np.uint8) for k in range(90)), RATE_HZ)
    return path


@pytest.mark.parametrize("numbers", [[0], [89], [41, 57, 41], [70, 3, 71], list(range(15, 45))])
def test_frames_come_in_the_order_asked_whatever_it_is(video, numbers):
    frames = FrameReader(RATE_HZ).read(video, numbers)
    expected = np.concatenate([read_frames(video, number, 1, RATE_HZ) for number in numbers])
    assert np.array_equal(frames, expected)


def test_a_reader_goes_back_and_forth_and_into_another_process(video):
    reader = FrameReader(RATE_HZ)
    first = reader.read(video, [80, 10])
    reader.read(video, [0])
    copy = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(copy.read(video, [80, 10]), first)


def test_a_video_that_is_too_short_or_broken_is_named(video, tmp_path):
    with pytest.raises(DialError, match=r"episode\.mp4 has no frame 90 at 20 Hz"):
        FrameReader(RATE_HZ).read(video, [88, 90])
    (tmp_path / "broken.mp4").write_bytes(video.read_bytes()[:500])
    with pytest.raises(DialError, match=r"broken\.mp4 cannot be decoded near frame 3"):
        FrameReader(RATE_HZ).read(tmp_path / "broken.mp4", [3])
