import av
import numpy as np
import pytest

from dial_core.datasets.camera_videos import CameraVideos
from dial_core.datasets.video import JoinedVideo, coding_of, encode, last_frame, read_video, write_video
from dial_core.errors import DialError


def test_a_film_plays_everywhere_and_looks_like_its_frames(tmp_path):
    ramp = np.linspace(20, 230, 64).astype(np.uint8)
    frames = [np.repeat(np.roll(ramp, step)[None, :, None], 48, 0).repeat(3, 2) for step in range(10)]
    write_video(tmp_path / "new/film.mp4", frames, rate_hz=20.0)
    with av.open(str(tmp_path / "new/film.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.pix_fmt, stream.average_rate) == ("yuv420p", 20)
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert len(shown) == 10
    assert np.abs(np.stack(shown).astype(int) - np.stack(frames)).mean() < 8


def test_the_last_frame_is_that_of_all_frames():
    frames = np.arange(12, dtype=np.uint8).repeat(16 * 16 * 3).reshape(12, 16, 16, 3) * 20
    video = encode(frames, 20.0)
    np.testing.assert_array_equal(last_frame(video), list(read_video(video))[-1])


def test_a_video_of_another_coding_is_not_joined(tmp_path):
    frames = np.full((3, 48, 64, 3), 90, np.uint8)
    write_video(tmp_path / "film.mp4", frames, 20.0)
    film, exact = (tmp_path / "film.mp4").read_bytes(), encode(frames, 20.0)
    with JoinedVideo(tmp_path / "joined.mp4", coding_of(exact), 20.0) as joined:
        assert joined.add(exact) == 3
        with pytest.raises(DialError, match=r"joined.mp4 is h264 yuv444p 48x64; a video of h264 yuv420p 48x64"):
            joined.add(film)


def test_a_video_with_another_number_of_frames_than_its_episode_has_rows_is_refused(tmp_path):
    videos = CameraVideos(tmp_path / "ego", 20.0)
    with pytest.raises(DialError, match="an episode for ego has 4 rows, its video 3 frames"):
        videos.add(encode(np.full((3, 16, 16, 3), 90, np.uint8), 20.0), 4)
    videos.close()
