import errno
import io
import json
import re
from fractions import Fraction

import av
import numpy as np
import pytest

from dial_core.datasets import editing
from dial_core.datasets.dataset_writer import DatasetWriter
from dial_core.datasets.editing import merge_datasets, split_dataset
from dial_core.datasets.frame_reader import FrameReader
from dial_core.datasets.inspection import check_dataset
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.video import cut, read_video
from dial_core.errors import DialError
from dial_core.files import disk_space
from dial_core.files.disk_space import DiskFullError
from dial_core.importers.egodex.egodex_conversion import EgoDexConversion, convert_egodex

from ..importers.source_files import write_egodex, write_gr00t_set
from ..importers.test_egodex_conversion import FRAMES, person

LENGTHS = (24, 30, 20)


@pytest.fixture(scope="module")
def first(fake_dataset, tmp_path_factory) -> LeRobotDataset:
    return fake_dataset(tmp_path_factory.mktemp("first") / "first", LENGTHS)


def change_info(dataset: LeRobotDataset, **values) -> None:
    file = dataset.folder / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_merged_datasets_hold_the_same_episodes_frame_for_frame(first, fake_dataset, tmp_path):
    second = fake_dataset(tmp_path / "second", (22,))
    merged = LeRobotDataset(merge_datasets([first.folder, second.folder], tmp_path / "both"))
    np.testing.assert_array_equal(merged.states, np.concatenate([first.states, second.states]))
    np.testing.assert_array_equal(merged.actions, np.concatenate([first.actions, second.actions]))
    for span, (dataset, other) in zip(merged.episodes, [*((first, s) for s in first.episodes), (second, second.episodes[0])], strict=True):
        np.testing.assert_array_equal(merged.frames(span), dataset.frames(other))
        assert (span.instruction, span.seed, span.facts) == (other.instruction, other.seed, {"from": dataset.folder.name, **other.facts})
    assert merged.info["total_frames"] == sum(LENGTHS) + 22


def coded_again(
    dataset: LeRobotDataset, codec: str = "libx264", pixel_format: str = "yuv444p", size: tuple[int, int] = (96, 96), **options: str
) -> LeRobotDataset:
    """The dataset with its video coded by another encoder, as an editing tool leaves it: `info.json` stays."""
    file = dataset.episodes[0].video
    frames = [np.ascontiguousarray(frame[: size[0], : size[1]]) for frame in read_video(file)]
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=20, pix_fmt=pixel_format, options={"g": "1", "bf": "0", **options})
        stream.height, stream.width = size
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return LeRobotDataset(dataset.folder)


def join_under_the_first_header(path, videos: list[bytes]) -> None:
    """What a joiner that compares no headers makes."""
    with av.open(str(path), "w") as output:
        track, frames = None, 0
        for video in videos:
            with av.open(io.BytesIO(video)) as source:
                track = track or output.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream, packet.time_base, packet.pts, packet.dts = track, Fraction(1, 20), frames, frames
                        output.mux(packet)
                        frames += 1


OTHER_ENCODERS = [{"crf": "20"}, {"crf": "8", "preset": "ultrafast"}]


@pytest.mark.parametrize("options", OTHER_ENCODERS)
def test_videos_of_another_encoder_keep_every_frame_in_a_file_of_their_own(first, fake_dataset, tmp_path, options):
    second = coded_again(fake_dataset(tmp_path / "second", (22, 21)), **options)
    merged = LeRobotDataset(merge_datasets([first.folder, second.folder, first.folder], tmp_path / "both"))
    originals = [(dataset, span) for dataset in (first, second, first) for span in dataset.episodes]
    for span, (dataset, other) in zip(merged.episodes, originals, strict=True):
        np.testing.assert_array_equal(merged.frames(span), dataset.frames(other))
        np.testing.assert_array_equal(FrameReader().read(span.video, merged.row_frames(span).shown_s[:1])[0], dataset.frames(other)[0])
    assert [span.video.stem for span in merged.episodes] == ["file-000"] * 3 + ["file-001"] * 2 + ["file-000"] * 3
    assert [finding for finding in check_dataset(merged) if finding.kind == "error"] == []


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ({"codec": "mpeg4", "pixel_format": "yuv420p"}, "coded as mpeg4 yuv420p, expected is h264 yuv444p.*dial convert lerobot"),
        ({"g": "20", "bf": "2"}, "is stored where frame .*B-frames.*dial convert lerobot"),
    ],
)
def test_videos_that_cannot_be_copied_are_refused_whatever_info_json_says(first, fake_dataset, tmp_path, coding, words):
    second = coded_again(fake_dataset(tmp_path / "second", (22,)), **coding)
    with pytest.raises(DialError, match=words):
        merge_datasets([first.folder, second.folder], tmp_path / "both")
    assert any(re.search(words.split(".*")[0], finding.text) for finding in check_dataset(second))


@pytest.mark.parametrize(
    ("options", "words", "refusal"),
    [
        (OTHER_ENCODERS[0], "images differ from those", "episode 1: its images differ"),
        ({"codec": "mpeg4", "pixel_format": "yuv420p"}, "cannot be decoded", "frame 24 does not begin a sequence"),
    ],
)
def test_packets_under_the_header_of_another_encoder_are_found_and_not_taken_along(fake_dataset, tmp_path, options, words, refusal):
    dataset, second = fake_dataset(tmp_path / "dataset", (24, 22)), fake_dataset(tmp_path / "second", (24, 22))
    recoded = coded_again(second, **options).episodes[1]
    sound = [cut(dataset.episodes[0].video, 0, 24, 20.0), cut(recoded.video, recoded.videos["ego"].first, 22, 20.0)]
    join_under_the_first_header(dataset.episodes[0].video, sound)
    errors = [finding for finding in check_dataset(LeRobotDataset(dataset.folder)) if finding.kind == "error"]
    assert [finding.where for finding in errors] == ["episode 1"]
    assert words in errors[0].text
    with pytest.raises(DialError, match=refusal):
        merge_datasets([dataset.folder, dataset.folder], tmp_path / "both")
    assert split_dataset(dataset.folder, tmp_path / "parts", {"sound": 1.0}, without=[1]) == {"sound": 1}


def test_a_video_of_another_size_is_refused_whatever_info_json_says(first, fake_dataset, tmp_path):
    second = coded_again(fake_dataset(tmp_path / "second", (22,)), size=(64, 48))
    with pytest.raises(DialError, match=r"episode 0: frames are h264 yuv444p 64x48, info.json says \(96, 96\)"):
        merge_datasets([first.folder, second.folder], tmp_path / "both")


def test_a_dataset_of_which_a_list_of_episodes_is_missing_is_refused(first, fake_dataset, tmp_path):
    second = fake_dataset(tmp_path / "second", (22,))
    change_info(second, total_episodes=501)
    with pytest.raises(DialError, match=r"meta/episodes lists 1 episodes, info.json says 501; copy the dataset again"):
        merge_datasets([first.folder, second.folder], tmp_path / "both")


def test_the_parts_of_a_split_appear_together_or_not_at_all(first, tmp_path, monkeypatch):
    write, parts = editing.write_chosen, []

    def interrupted_at_the_second(chosen, out):
        parts.append(out.name)
        if len(parts) == 2:
            raise KeyboardInterrupt
        write(chosen, out)

    monkeypatch.setattr(editing, "write_chosen", interrupted_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        split_dataset(first.folder, tmp_path / "parts", {"train": 1.0, "held_out": 1.0})
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert split_dataset(first.folder, tmp_path / "parts", {"train": 1.0, "held_out": 1.0}) == {"train": 2, "held_out": 1}


def test_a_merge_leaves_the_work_of_an_interrupted_conversion_alone(first, tmp_path):
    work = tmp_path / "both.episodes/000000-00.npz"
    work.parent.mkdir()
    work.write_bytes(b"hours of work")
    merge_datasets([first.folder, first.folder], tmp_path / "both")
    assert work.read_bytes() == b"hours of work"


@pytest.mark.parametrize("what", ["merging 2 datasets", "splitting first"])
def test_a_disk_without_room_is_found_before_anything_is_written_and_nobody_is_promised_to_resume(first, tmp_path, monkeypatch, what):
    def call():
        if what == "splitting first":
            split_dataset(first.folder, tmp_path / "out", {"all": 1.0})
        else:
            merge_datasets([first.folder, first.folder], tmp_path / "out")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk_space, "free_bytes", lambda folder: 1000)
        patch.setattr(DatasetWriter, "add", lambda *_: pytest.fail("it writes"))
        with pytest.raises(DiskFullError, match=rf"{what} into out needs [\d,]+ MB, the disk has 0 MB free; make room") as error:
            call()
    assert "resumes" not in str(error.value)
    monkeypatch.setattr(DatasetWriter, "add", full)
    with pytest.raises(DiskFullError, match=r"the disk is full .*; make room and run the same command again: it keeps nothing") as error:
        call()
    assert "resumes" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_merge_needs_room_for_every_file_of_every_source(first, tmp_path, monkeypatch):
    needed = []
    monkeypatch.setattr(editing, "require_free", lambda folder, needed_bytes, what: needed.append(needed_bytes))
    merge_datasets([first.folder, first.folder], tmp_path / "out")
    files = [*first.folder.glob("data/**/*.parquet"), *first.folder.glob("videos/**/*.mp4")]
    assert needed == [2 * sum(file.stat().st_size for file in files)]


def test_a_split_assigns_every_episode_once_and_leaves_out_the_excluded_ones(first, tmp_path):
    counts = split_dataset(first.folder, tmp_path / "parts", {"train": 1.0, "held_out": 1.0}, without=[1])
    assert counts == {"train": 1, "held_out": 1}
    parts = [LeRobotDataset(tmp_path / "parts" / name) for name in counts]
    assert sorted(span.length for part in parts for span in part.episodes) == [20, 24]
    part = parts[0]
    original = next(span for span in first.episodes if span.seed == part.episodes[0].seed)
    np.testing.assert_array_equal(part.frames(part.episodes[0]), first.frames(original))


def test_shares_are_met_to_the_episode_and_no_part_is_empty(first, tmp_path):
    assert split_dataset(first.folder, tmp_path / "parts", {"train": 0.98, "held_out": 0.02}) == {"train": 2, "held_out": 1}
    with pytest.raises(DialError, match="too few for 4 parts"):
        split_dataset(first.folder, tmp_path / "more", dict.fromkeys("abcd", 1.0))
    with pytest.raises(DialError, match="no episode 9"):
        split_dataset(first.folder, tmp_path / "more", {"a": 1.0}, without=[9])


def test_a_mask_goes_with_its_episodes(tmp_path):
    write_egodex(tmp_path / "part1/pour", 0, person(), {"leftHand": np.ones(FRAMES), "rightHand": np.array([1, 1, 1, 0, 1, 1, 1])})
    convert_egodex([tmp_path / "part1"], tmp_path / "people", EgoDexConversion(), workers=0)
    merged = LeRobotDataset(merge_datasets([tmp_path / "people", tmp_path / "people"], tmp_path / "both"))
    mask = LeRobotDataset(tmp_path / "people").action_mask
    np.testing.assert_array_equal(merged.action_mask, np.concatenate([mask, mask]))


def test_people_and_robots_are_not_one_dataset(first, tmp_path):
    write_egodex(tmp_path / "part1/pour", 0, person())
    convert_egodex([tmp_path / "part1"], tmp_path / "people", EgoDexConversion(), workers=0)
    with pytest.raises(DialError, match="robot: gr1 and human"):
        merge_datasets([first.folder, tmp_path / "people"], tmp_path / "both")


def test_other_peoples_datasets_are_sent_to_the_converter(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa")
    with pytest.raises(DialError, match="dial convert lerobot"):
        merge_datasets([folder, folder], tmp_path / "both")


def test_a_sound_dataset_has_no_error(first):
    findings = check_dataset(first, "gr1")
    assert [finding for finding in findings if finding.kind == "error"] == []
    assert any("hardly move" in finding.text and "l_shoulder_pitch" in finding.text for finding in findings)
