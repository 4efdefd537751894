"""The right frame for every row, whatever the video's clock says, or a reason why there is none.

Frames carry their number as seven black or white stripes. pytest test/unit/datasets/test_video_rows.py
"""

import math
import struct
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.video import write_video
from dial_core.datasets.video_rows import ON_FRAME, _on_frames, one_video, shared_video
from dial_core.errors import DialError

ROWS = 60


def numbered(number: int) -> np.ndarray:
    frame = np.full((32, 56, 3), 90, np.uint8)
    for bit in range(7):
        frame[:, 8 * bit : 8 * bit + 8] = 255 * (number >> bit & 1)
    return frame


def number_of(frame: np.ndarray) -> int:
    return sum(int(frame[:, 8 * bit + 2 : 8 * bit + 6].mean() > 128) << bit for bit in range(7))


def film(path, numbers, rate=30, times=None, ticks_per_s=30, codec="libx264", **options):
    """A video of numbered frames; `times`: in ticks, by default evenly at `rate`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height = 56, 32
        stream.pix_fmt = "yuv420p" if codec == "mpeg4" else "yuv444p"
        stream.options = {"crf": "4", **{name.replace("_", "-"): value for name, value in options.items()}}
        if times is not None:
            stream.codec_context.time_base = Fraction(1, ticks_per_s)
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[place], Fraction(1, ticks_per_s)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def seen(found, rows=range(ROWS)) -> list[int]:
    return [number_of(frame) for frame in found.frames(list(rows))]


CASES = {
    "right": {},
    "ntsc": {"rate": Fraction(30000, 1001)},
    "muxed at half the rate": {"rate": 15},
    "begins late": {"times": [n + 15 for n in range(ROWS)]},
    "with B-frames": {"bf": "3", "g": "250"},
}


@pytest.mark.parametrize("case", CASES)
def test_as_many_frames_as_rows_means_row_k_sees_frame_k(tmp_path, case):
    assert seen(one_video(film(tmp_path / "a.mp4", range(ROWS), **CASES[case]), ROWS, 30.0)) == list(range(ROWS))


def test_any_choice_of_rows_may_be_decoded(tmp_path):
    found = one_video(film(tmp_path / "a.mp4", range(ROWS), g="12"), ROWS, 30.0)
    assert seen(found, [0, 0, 31, 58, 58, 59]) == [0, 0, 31, 58, 58, 59]
    assert seen(found, [45]) == [45]
    assert seen(found, []) == []


@pytest.mark.parametrize("case", [*CASES, "in many groups", "jitter"])
def test_single_frames_are_read_as_all_of_them_are(tmp_path, case):
    options = CASES | {
        "in many groups": {"bf": "3", "g": "12"},
        "jitter": {"times": [33 * n + n % 3 for n in range(ROWS)], "ticks_per_s": 1000},
    }
    found = one_video(film(tmp_path / "a.mp4", range(ROWS), **options[case]), ROWS, 30.0)
    reader = FrameReader()
    for row in range(ROWS):
        rows = [row, min(row + 16, ROWS - 1), max(0, row - 5)]
        assert [number_of(frame) for frame in reader.read(found.video, found.shown_s[rows])] == rows


HARD_TO_SEEK = {
    "open groups of HEVC": ("a.mp4", {"codec": "libx265", "x265_params": "log-level=none:keyint=12:min-keyint=12:bframes=4:open-gop=1"}),
    "B-frames of MPEG-4": ("a.mp4", {"codec": "mpeg4", "g": "12", "bf": "2", "qscale": "2"}),
    "MPEG-TS": ("a.ts", {"g": "12", "bf": "0"}),
}


@pytest.mark.parametrize("case", HARD_TO_SEEK)
def test_a_seek_that_lands_behind_the_wanted_frame_is_repeated_further_back(tmp_path, case):
    name, options = HARD_TO_SEEK[case]
    found = one_video(film(tmp_path / name, range(ROWS), **options), ROWS, 30.0)
    reader = FrameReader()
    for row in range(ROWS):
        assert seen(found, [row]) == [row]
        assert [number_of(frame) for frame in reader.read(found.video, found.shown_s[[row]])] == [row]


def test_a_frame_that_the_decoder_drops_is_an_error_and_not_the_next_frame(tmp_path):
    """The first B-frames of a film that was cut without coding it again need a frame that is not there."""
    whole = film(tmp_path / "whole.mp4", range(ROWS), **HARD_TO_SEEK["B-frames of MPEG-4"][1])
    with av.open(str(whole)) as source, av.open(str(tmp_path / "cut.mkv"), "w") as target:
        copied, groups = target.add_stream_from_template(source.streams.video[0]), 0
        for packet in source.demux(video=0):
            groups += packet.is_keyframe
            if groups > 1 and packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    found = one_video(tmp_path / "cut.mkv", 50, 30.0)
    for row in range(2):
        with pytest.raises(DialError, match=rf"cut\.mkv cannot be decoded at {found.shown_s[row]:.3f} s;"):
            seen(found, [row])
    assert seen(found, range(2, 50)) == list(range(12, 60))


def test_surplus_frames_at_the_end_do_no_harm(tmp_path):
    assert seen(one_video(film(tmp_path / "a.mp4", range(ROWS + 20)), ROWS, 30.0)) == list(range(ROWS))


def test_a_slower_camera_shows_its_newest_frame(tmp_path):
    # 15 Hz for 30 Hz rows: row 2 k and row 2 k + 1 see frame k
    assert seen(one_video(film(tmp_path / "a.mp4", range(ROWS // 2), rate=15), ROWS, 30.0)) == [row // 2 for row in range(ROWS)]


@pytest.mark.parametrize("rate", [24, 25, 48])
def test_a_camera_of_another_rate_shows_no_frame_of_the_future(tmp_path, rate):
    found = one_video(film(tmp_path / "a.mp4", range(2 * rate), rate=rate), ROWS, 30.0)
    assert seen(found) == [row * rate // 30 for row in range(ROWS)]


def test_rows_that_were_cut_from_the_beginning_see_the_frames_of_their_own_time(tmp_path):
    path = film(tmp_path / "a.mp4", range(ROWS))
    assert seen(one_video(path, ROWS - 6, 30.0, begin_s=0.2), range(ROWS - 6)) == list(range(6, ROWS))
    slow = film(tmp_path / "slow.mp4", range(ROWS // 2), rate=15)
    assert seen(one_video(slow, ROWS - 6, 30.0, begin_s=0.2), range(ROWS - 6)) == [row // 2 for row in range(6, ROWS)]


@pytest.mark.parametrize("begin_s", [1.7e9, 5.0, 0.4])
def test_a_clock_that_begins_elsewhere_moves_no_frame(tmp_path, begin_s):
    path = film(tmp_path / "a.mp4", range(ROWS))
    assert seen(one_video(path, ROWS, 30.0, begin_s=begin_s)) == list(range(ROWS))
    assert seen(one_video(film(tmp_path / "b.mp4", range(ROWS + 3)), ROWS, 30.0, begin_s=begin_s)) == list(range(ROWS))


def test_rows_that_were_cut_from_an_episode_of_a_shared_video_see_the_frames_of_their_own_time(tmp_path):
    path = film(tmp_path / "a.mp4", range(90))
    assert seen(shared_video(path, [30, 24, 30], [0, 1.0, 2.0, math.inf], 1, 30.0, begin_s=0.2), range(24)) == list(range(36, 60))
    # A clock that runs on from episode to episode says nothing.
    assert seen(shared_video(path, [30, 24, 30], [0, 1.0, 2.0, math.inf], 1, 30.0, begin_s=1.0), range(24)) == list(range(30, 54))


@pytest.mark.parametrize("jitter", [(0, 4, -4), (0, 3), (0, -4, 0, 4)])
def test_frames_of_the_rows_own_rate_may_jitter_by_nearly_half_a_period(tmp_path, jitter):
    times = [10 * n + jitter[n % len(jitter)] for n in range(ROWS + 3)]
    found = one_video(film(tmp_path / "a.mp4", range(ROWS + 3), times=times, ticks_per_s=300), ROWS, 30.0)
    assert seen(found) == list(range(ROWS))


def test_a_frame_dropped_in_between_leaves_the_one_before(tmp_path):
    kept = [n for n in range(ROWS) if n != 30]
    found = one_video(film(tmp_path / "a.mp4", kept, times=kept), ROWS, 30.0)
    assert seen(found) == [n if n != 30 else 29 for n in range(ROWS)]


def test_the_last_frame_may_be_missing_but_no_more(tmp_path):
    assert seen(one_video(film(tmp_path / "a.mp4", range(ROWS - 1)), ROWS, 30.0)) == [*range(ROWS - 1), ROWS - 2]
    with pytest.raises(DialError, match=r"ends 0\.10 s before its 60 rows \(57 frames\)"):
        one_video(film(tmp_path / "b.mp4", range(ROWS - 3)), ROWS, 30.0)


def test_a_camera_that_hung_is_refused_with_the_time(tmp_path):
    kept = [n for n in range(ROWS) if not 30 <= n < 45]
    with pytest.raises(DialError, match=r"no frame for 0\.53 s from 0\.97 s \(row 34\): the camera hung"):
        one_video(film(tmp_path / "a.mp4", kept, times=kept), ROWS, 30.0)


@pytest.mark.parametrize(
    "drifting_s",
    [(0.0, 1.05, 2.1, math.inf), (0.0, 1.05, 2.1, 3.15), (0.0, 1.05, 2.1, 3.0), (0.0, 31 / 30, 62 / 30, 93 / 30), (0.0, 1.03, 2.07, 3.0)],
)
def test_episodes_that_share_a_file_are_separated_by_their_rows_though_the_metadata_drift(tmp_path, drifting_s):
    path = film(tmp_path / "a.mp4", range(90))
    for place in range(3):
        found = shared_video(path, [30, 30, 30], drifting_s, place, 30.0)
        assert seen(found, range(30)) == list(range(30 * place, 30 * place + 30))


def test_with_other_frames_in_the_file_the_metadata_say_where_an_episode_lies(tmp_path):
    # the episode before was deleted from the metadata, its frames are still there
    path = film(tmp_path / "a.mp4", range(90))
    assert seen(shared_video(path, [30, 30], [0.0, 2.0, math.inf], 1, 30.0), range(30)) == list(range(60, 90))
    with pytest.raises(DialError, match=r"ends at 2\.97 s, the episode begins at 4\.00 s"):
        shared_video(path, [30, 30], [0.0, 4.0, math.inf], 1, 30.0)


def test_a_frame_too_many_and_one_too_few_are_not_shifted_into_the_next_episode(tmp_path):
    # 31 and 29 frames for 30 rows each: counts agree by chance, and the metadata, which lie on frames, say where each begins
    path, bounds_s = film(tmp_path / "a.mp4", range(60)), [0.0, 31 / 30, 2.0]
    assert seen(shared_video(path, [30, 30], bounds_s, 0, 30.0), range(30)) == list(range(30))
    assert seen(shared_video(path, [30, 30], bounds_s, 1, 30.0, begin_s=31 / 30), range(30)) == [*range(31, 60), 59]


def test_jitter_at_an_episodes_border_moves_no_frame(tmp_path):
    times = [10 * n + (4 if n == 30 else 0) for n in range(60)]
    path = film(tmp_path / "a.mp4", range(60), times=times, ticks_per_s=300)
    for place in range(2):
        assert seen(shared_video(path, [30, 30], [0.0, 1.0, 2.0], place, 30.0), range(30)) == list(range(30 * place, 30 * place + 30))


def test_an_episode_never_sees_the_frames_of_the_next_one(tmp_path):
    # 29, 30 and 33 frames for 30 rows each
    path = film(tmp_path / "a.mp4", range(92))
    first = shared_video(path, [30, 30, 30], [0.0, 29 / 30, 59 / 30, 92 / 30], 0, 30.0)
    assert seen(first, range(30)) == [*range(29), 28]


def test_what_is_no_video_is_one_line(tmp_path):
    with pytest.raises(DialError, match=r"none\.mp4 is missing"):
        one_video(tmp_path / "none.mp4", 3, 30.0)
    (tmp_path / "lfs.mp4").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    with pytest.raises(DialError, match="Git LFS pointer"):
        one_video(tmp_path / "lfs.mp4", 3, 30.0)
    whole = film(tmp_path / "a.mp4", range(9)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DialError, match=r"cut\.mp4 cannot be read"):
        one_video(tmp_path / "cut.mp4", 9, 30.0)


@pytest.mark.parametrize(
    ("pixel_format", "colorspace"), [("yuv420p", 1), ("yuv420p", 5), ("yuvj420p", 5)], ids=["bt709", "bt601", "full_range"]
)
def test_colours_are_those_that_the_file_says(tmp_path, pixel_format, colorspace):
    colour, file = (200, 60, 20), tmp_path / "x.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt, stream.options = 32, 32, pixel_format, {"crf": "5"}
        stream.codec_context.colorspace = colorspace
        for _ in range(4):
            pixels = av.VideoFrame.from_ndarray(np.full((32, 32, 3), colour, np.uint8), format="rgb24")
            container.mux(stream.encode(pixels.reformat(format=pixel_format, dst_colorspace=colorspace)))
        container.mux(stream.encode())
    (frame,) = one_video(file, 4, 30.0).frames([2])
    np.testing.assert_allclose(frame.reshape(-1, 3).mean(0), colour, atol=3)


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1), ((1, 0, 0, 1), 0)],
    ids=["right", "upside down", "left", "as it is"],
)
def test_a_video_that_a_telephone_filmed_sideways_is_upright(tmp_path, matrix, turns):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:8, :16] = 255
    file = tmp_path / "telephone.mp4"
    write_video(file, [image] * 4, 20.0)
    data = bytearray(file.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # of the display matrix in the track's header
    one = 1 << 16
    a, b, c, d = (value * one for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(data)
    rows = one_video(file, 4, 20.0)
    expected = np.rot90(image, turns)
    assert rows.size == expected.shape[:2]
    for frame in [*rows.frames([0, 3]), *FrameReader().read(file, rows.shown_s[[0, 3]])]:
        assert np.abs(frame.astype(int) - expected).mean() < 10


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=12).map(sorted),
    st.lists(st.tuples(st.integers(0, 12), st.integers(-12, 12)), min_size=2, max_size=5),
    st.booleans(),
)
def test_episodes_begin_at_the_frames_that_a_comparison_with_all_frames_finds(ticks, bounds, ends_unknown):
    rate_hz, tick_s = 20.0, 0.01
    times = np.array(ticks) * tick_s
    shown = np.append(times, times[-1] + 1.0 / rate_hz)
    bounds_s = sorted(float(shown[place % len(shown)]) + off * 0.001 for place, off in bounds)
    if ends_unknown:
        bounds_s[-1] = math.inf
    nearest = [int(np.abs(shown - bound).argmin()) for bound in bounds_s]
    close = all(abs(shown[place] - bound) <= ON_FRAME / rate_hz for place, bound in zip(nearest, bounds_s, strict=True))
    apart = all(b > a for a, b in pairwise(nearest)) and nearest[0] == 0 and nearest[-1] == len(times)
    found = _on_frames(times, bounds_s, rate_hz)
    assert (None if found is None else found.tolist()) == (nearest if close and apart else None)
