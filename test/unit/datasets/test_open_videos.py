"""One budget of open files and memory for all readers of a process.

pytest test/unit/datasets/test_open_videos.py
"""

import multiprocessing
import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import av
import numpy as np
import pytest

from dial_core.datasets import open_videos
from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.open_videos import OPEN_VIDEOS, OpenVideos
from dial_core.datasets.video import write_video
from dial_core.datasets.video_rows import frame_times, video_size
from dial_core.errors import DialError

RATE_HZ = 20.0
FRAME_BYTES = 32 * 48 * 3 // 2


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch):
    """No container of another test is open, and the process had files enough until now."""
    monkeypatch.setattr(OPEN_VIDEOS, "_most_files", sys.maxsize)
    OPEN_VIDEOS.close_inherited()


@pytest.fixture
def videos(tmp_path):
    """(count) -> as many videos of 4 frames; frame k is brightness 40 k."""
    source = tmp_path / "source.mp4"
    write_video(source, (np.full((32, 48, 3), 40 * k, np.uint8) for k in range(4)), RATE_HZ)

    def linked(count):
        paths = [tmp_path / f"episode{number:03d}.mp4" for number in range(count)]
        for path in paths:
            os.link(source, path)
        return paths

    return linked


def open_in(folder):
    """Paths of the files below `folder` that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:  # of the listing itself
            continue
    return sorted(path for path in found if path.startswith(str(folder)))


@contextmanager
def room_for_files(more):
    """Lowers the number of files that this process may open, so that about `more` are left; yields it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 1 + more
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_file_left():
    """In the block this process cannot open another file."""
    with room_for_files(3), ExitStack() as fillers:
        with suppress(OSError):
            while True:
                fillers.enter_context(open(os.devnull))
        yield


def assert_frame_3(frames):
    assert frames.mean() == pytest.approx(120, abs=2)


def test_as_many_files_stay_open_as_fit_into_the_memory_meant_for_them(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(open_videos, "BYTES_OPEN", 3 * open_videos.FRAMES_OPEN * FRAME_BYTES)
    paths, reader, opened, really_open = dict(zip("abcd", videos(4), strict=True)), FrameReader(), [], av.open
    monkeypatch.setattr(av, "open", lambda path, mode: opened.append(Path(path)) or really_open(path, mode))
    for name in "abcadab":  # at d the oldest, b, is closed
        assert_frame_3(reader.read(paths[name], [0.15]))
    assert opened == [paths[name] for name in "abcdb"]


def test_all_readers_of_a_process_share_the_memory(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(open_videos, "BYTES_OPEN", 3 * open_videos.FRAMES_OPEN * FRAME_BYTES)
    paths, readers = videos(8), [FrameReader() for _ in range(4)]
    for number, path in enumerate(paths):
        assert_frame_3(readers[number % 4].read(path, [0.15]))
    assert open_in(tmp_path) == [str(path) for path in paths[-3:]]


def test_all_readers_of_a_process_share_a_quarter_of_the_files_that_it_may_open(videos, tmp_path):
    readers = [FrameReader() for _ in range(4)]
    with room_for_files(40) as limit:  # a quarter for each reader would be all of them, and some are in use
        paths = videos(80)
        for number, path in enumerate(paths):
            assert_frame_3(readers[number % 4].read(path, [0.15]))
        left_open = open_in(tmp_path)
    assert left_open == [str(path) for path in paths[-len(left_open) :]]
    assert min(limit // 4, 15) <= len(left_open) <= limit // 4  # fewer where others hold so many that a quarter is not to be had


def test_where_others_hold_all_files_the_videos_used_first_make_room(videos, tmp_path):
    paths, reader = videos(8), FrameReader()
    for path in paths[:6]:
        reader.read(path, [0.15])
    with no_file_left():
        assert_frame_3(reader.read(paths[6], [0.15]))
    assert open_in(tmp_path) == [str(path) for path in paths[4:7]]
    assert_frame_3(reader.read(paths[7], [0.15]))
    assert open_in(tmp_path) == [str(path) for path in paths[5:8]]  # and the others keep the room that they needed


def test_a_process_without_a_file_to_open_is_not_taken_for_a_broken_video(videos):
    (path,) = videos(1)
    reading = (lambda: FrameReader().read(path, [0.15]), lambda: video_size(path), lambda: frame_times(path))
    messages = []
    with no_file_left():
        for read in reading:
            with pytest.raises(DialError) as error:
                read()
            messages.append(str(error.value))
    for message in messages:
        assert message.startswith(f"{path} cannot be opened: this process has as many files open as it may (")
        assert "ulimit -n" in message
        assert "restore the file" not in message


def test_a_forked_process_closes_the_containers_of_its_parent_and_opens_its_own(videos, tmp_path):
    paths, reader = videos(3), FrameReader()
    for path in paths:
        reader.read(path, [0.15])
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child():
        inherited = open_in(tmp_path)
        frames = reader.read(paths[1], [0.15])
        theirs.send((inherited, frames.mean(), open_in(tmp_path)))

    process = context.Process(target=child)
    process.start()
    assert ours.poll(60)
    inherited, brightness, opened = ours.recv()
    process.join()
    assert inherited == []
    assert brightness == pytest.approx(120, abs=2)
    assert opened == [str(paths[1])]
    assert open_in(tmp_path) == [str(path) for path in paths]
    assert_frame_3(reader.read(paths[1], [0.15]))


def test_threads_read_the_same_videos_at_a_time(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(open_videos, "BYTES_OPEN", 2 * open_videos.FRAMES_OPEN * FRAME_BYTES)
    paths, reader = videos(3), FrameReader()

    def brightness(number):
        return reader.read(paths[number % 3], [0.05 * (number % 4)]).mean()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(brightness, range(240)))
    assert found == pytest.approx([40 * (number % 4) for number in range(240)], abs=2)
    assert len(open_in(tmp_path)) <= 2


def test_two_borrowers_of_one_video_have_a_container_each(videos, tmp_path):
    (path,), lender = videos(1), OpenVideos()
    with lender.lend(path) as one, lender.lend(path) as other:
        assert one is not other
    with lender.lend(path) as again:
        assert again is one  # given back last
        assert open_in(tmp_path) == [str(path)]


def test_a_container_whose_reading_failed_is_not_lent_again(videos, tmp_path):
    (path,), lender = videos(1), OpenVideos()
    with pytest.raises(KeyError), lender.lend(path):
        raise KeyError
    assert open_in(tmp_path) == []
