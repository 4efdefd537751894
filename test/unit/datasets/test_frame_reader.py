import pickle

import av
import numpy as np
import pytest

from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.video import read_video, write_video
from dial_core.datasets.video_rows import one_video
from dial_core.errors import DialError

RATE_HZ = 20.0


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """90 frames; frame k is brightness 2 k."""
    path = tmp_path_factory.mktemp("video") / "episode.mp4"
    write_video(path, (np.full((32, 48, 3), 2 * k, np.uint8) for k in range(90)), RATE_HZ)
    return path


def times(numbers):
    return [number / RATE_HZ for number in numbers]


@pytest.mark.parametrize("numbers", [[0], [89], [41, 57, 41], [70, 3, 71], list(range(15, 45))])
def test_frames_come_in_the_order_asked_whatever_it_is(video, numbers):
    frames = FrameReader().read(video, times(numbers))
    everything = list(read_video(video))
    expected = np.stack([everything[number] for number in numbers])
    assert np.array_equal(frames, expected)


def test_a_reader_goes_back_and_forth_and_into_another_process(video):
    reader = FrameReader()
    first = reader.read(video, times([80, 10]))
    reader.read(video, [0])
    copy = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(copy.read(video, times([80, 10])), first)


def test_a_video_that_is_too_short_or_broken_is_named(video, tmp_path):
    with pytest.raises(DialError, match=r"episode\.mp4 has no frame at 4\.500 s"):
        FrameReader().read(video, times([88, 90]))
    (tmp_path / "broken.mp4").write_bytes(video.read_bytes()[:500])
    with pytest.raises(DialError, match=r"broken\.mp4 cannot be decoded near 0\.15 s"):
        FrameReader().read(tmp_path / "broken.mp4", times([3]))


def test_a_video_that_starts_late_is_read_by_its_own_clock(video, tmp_path):
    with av.open(str(video)) as source, av.open(str(tmp_path / "late.mp4"), "w") as output:
        stream = source.streams.video[0]
        target = output.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = target
                packet.pts += int(0.5 / packet.time_base)
                packet.dts += int(0.5 / packet.time_base)
                output.mux(packet)
    numbers = [0, 41, 89]
    shown_s = one_video(tmp_path / "late.mp4", 90, RATE_HZ).shown_s
    assert shown_s[0] == pytest.approx(0.5)
    assert np.array_equal(FrameReader().read(tmp_path / "late.mp4", shown_s[numbers]), FrameReader().read(video, times(numbers)))


def test_a_video_that_was_replaced_is_read_again(video, tmp_path):
    path = tmp_path / "episode.mp4"
    path.write_bytes(video.read_bytes())
    assert FrameReader().read(path, times([40])).mean() == pytest.approx(80, abs=2)
    write_video(tmp_path / "bright.mp4", (np.full((32, 48, 3), 200, np.uint8) for _ in range(90)), RATE_HZ)
    (tmp_path / "bright.mp4").replace(path)
    assert FrameReader().read(path, times([40])).mean() == pytest.approx(200, abs=2)
