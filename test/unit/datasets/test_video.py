import av
import numpy as np

from dial_core.datasets.video import write_video


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
