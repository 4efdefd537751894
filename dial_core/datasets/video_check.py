"""Whether the videos of a dataset are what its metadata say: their coding, and images that can be decoded and are the episode's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dial_core.datasets.episode_spans import EpisodeSpan
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.lerobot_meta import CODEC, PIXEL_FORMAT
from dial_core.datasets.metadata import Feature
from dial_core.datasets.statistics import image_statistics
from dial_core.datasets.video import coding_of, cut, key_frames
from dial_core.datasets.video_rows import RowFrames, frame_times
from dial_core.errors import DialError

MEAN_TOLERANCE = 0.02  # of white: another decoder may round otherwise, images that were decoded wrong lie further


def coded_as_ours(feature: Feature) -> bool:
    """Whether `meta/info.json` says that a camera's videos are coded as this package codes them."""
    return stated_coding(feature) == {"codec": CODEC, "pixel format": PIXEL_FORMAT}


def stated_coding(feature: Feature) -> dict[str, str]:
    """Codec and pixel format of a camera's videos by `meta/info.json`, as far as it says them."""
    extra = feature.model_extra or {}
    info = extra.get("info") or extra.get("video_info")
    stated = info if isinstance(info, dict) else {}
    found = {"codec": stated.get("video.codec"), "pixel format": stated.get("video.pix_fmt")}
    return {what: value for what, value in found.items() if isinstance(value, str)}


def coding_faults(dataset: LeRobotDataset) -> Iterator[str]:
    """Yields a sentence for each coding that is not that of `meta/info.json`, or, where it states none, of the camera's first video.

    Videos that cannot be opened are skipped: whoever reads them reports that.
    """
    for name, key in dataset.video_keys.items():
        expected, others = stated_coding(dataset.features[key]), dict[str, list[str]]()
        for path in dict.fromkeys(span.videos[name].path for span in dataset.episodes if name in span.videos):
            try:
                coding = coding_of(path)
            except DialError:
                continue
            found = {"codec": coding.codec, "pixel format": coding.pixel_format}
            expected = found | expected
            if found != expected:
                others.setdefault(" ".join(found.values()), []).append(str(path.relative_to(dataset.folder)))
        for words, files in others.items():
            some = files[0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")
            yield f"{some}: coded as {words}, expected is {' '.join(expected.values())} as meta/info.json or the first video says"


def sampled_episodes(dataset: LeRobotDataset) -> set[tuple[str, int]]:
    """Camera and index of the first, the middle and the last episode in each video file."""
    files: dict[tuple[str, Path], list[EpisodeSpan]] = {}
    for span in dataset.episodes:
        for camera, place in span.videos.items():
            files.setdefault((camera, place.path), []).append(span)
    sampled = set()
    for (camera, _), spans in files.items():
        spans.sort(key=lambda span: span.videos[camera].first)
        sampled |= {(camera, span.index) for span in (spans[0], spans[len(spans) // 2], spans[-1])}
    return sampled


def own_video(dataset: LeRobotDataset, span: EpisodeSpan, camera: str) -> bytes:
    """The video of an episode, cut out of its file without coding a frame again.

    Packets under the header of another encoder may be decoded without any error, to other images. What was decoded when the dataset was
    written is known: the mean colour of the same key frames.

    Raises:
        DialError: it cannot be cut out or decoded, its frames have another size than `meta/info.json` says, or its images are not those
            of the episode's statistics.
    """
    place, key = span.videos[camera], dataset.video_keys[camera]
    video = cut(place.path, place.first, span.length, dataset.rate_hz)
    coding = coding_of(video)
    if (coding.height, coding.width) != dataset.features[key].height_width:
        raise DialError(f"{place.path}, {span.name}: frames are {coding}, info.json says {dataset.features[key].height_width}")
    try:
        mean = image_statistics(key_frames(video)).mean
    except DialError as error:
        raise DialError(f"{place.path}, {span.name}: {error}; leave the episode out, or make it again") from error
    stated = dataset.image_means.get((span.index, key))
    if stated is not None and (apart := float(np.abs(mean - stated).max())) > MEAN_TOLERANCE:
        raise DialError(
            f"{place.path}, {span.name}: its images differ from those that its statistics were made from (by {apart:.2f} of white on "
            "average): another video, or one under the header of another encoder; leave the episode out, or make it again"
        )
    return video


def misplaced(dataset: LeRobotDataset, span: EpisodeSpan, camera: str, frames: RowFrames) -> str:
    """Describes the first row whose frame differs from the one its metadata name; empty if none."""
    shown_s = frame_times(frames.video)
    numbers = np.rint((shown_s[frames.numbers] - shown_s[0]) * dataset.rate_hz).astype(int)
    wrong = np.flatnonzero(numbers != span.videos[camera].first + np.arange(span.length))
    if not len(wrong):
        return ""
    row = int(wrong[0])
    return f"row {row} sees frame {numbers[row]} of its video, its metadata say {span.videos[camera].first + row}"
