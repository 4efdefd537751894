"""`dial data check`: what stops training on a dataset or hurts it, episode by episode, found before an hour of training shows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dial_core.datasets.columns import Columns
from dial_core.datasets.editing import state_names
from dial_core.datasets.lerobot import EpisodeSpan, LeRobotDataset
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.datasets.meta_files import read_json
from dial_core.datasets.normalisation import warnings_about
from dial_core.datasets.video import coding_of
from dial_core.datasets.video_check import coded_as_ours, coding_faults, misplaced, own_video, sampled_episodes
from dial_core.datasets.video_rows import RowFrames
from dial_core.errors import DialError
from dial_core.finiteness import not_finite
from dial_core.robot.embodiment import EEF_DIM, Embodiment, load_embodiment

LIMIT_SLACK_RAD = 0.05
STILL_RAD = 1e-4
VECTORS = ("observation.state", "action")


@dataclass(frozen=True)
class Finding:
    """A fault of one episode, or of the whole dataset (`where` is its name): an `error` stops training, a `warning` hurts it."""

    kind: Literal["error", "warning"]
    where: str
    text: str


def check_dataset(dataset: LeRobotDataset, embodiment: str = "") -> list[Finding]:
    """Faults of a dataset in our layout, errors first. `embodiment`: the robot that it is meant for.

    Raises:
        DialError: its metadata cannot be read at all.
    """
    findings = [*_of_the_whole(dataset, embodiment)]
    robot, sampled = robot_of(dataset), sampled_episodes(dataset)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in VECTORS}
    for span in dataset.episodes:
        try:
            columns = dataset.columns(span)
            findings += _of_vectors(span, columns, robot)
            findings += _of_words(dataset, span, columns)
            for name, parts in kept.items():
                if name in columns and not not_finite(columns[name]):
                    parts.append(columns[name])
        except DialError as error:
            findings.append(Finding("error", span.name, str(error).removeprefix(f"{dataset.folder}, {span.name}: ")))
        findings += _of_videos(dataset, span, sampled)
    for name, parts in kept.items():
        if parts and len({part.shape[1] for part in parts}) == 1:
            names = dataset.features[name].flat_names if name in dataset.features else ()
            findings += [Finding("warning", "dataset", text) for text in warnings_about(np.concatenate(parts), name, names)]
    return sorted(findings, key=lambda finding: finding.kind)


def robot_of(dataset: LeRobotDataset) -> Embodiment | None:
    """The embodiment that the dataset names, if the configuration has it."""
    try:
        return load_embodiment(str(dataset.info.get("robot_type")))
    except DialError:
        return None


def _of_the_whole(dataset: LeRobotDataset, wanted: str) -> Iterator[Finding]:
    if dataset.version != "v3.0":
        yield Finding("error", "dataset", f"LeRobot version {dataset.version}: import it with `dial convert lerobot`")
    for key in set(dataset.camera_keys.values()) - set(dataset.video_keys.values()):
        yield Finding("error", "dataset", f"{key} holds single images, training reads videos: import it with `dial convert lerobot`")
    robot_type = str(dataset.info.get("robot_type"))
    if wanted and robot_type != load_embodiment(wanted).name:
        yield Finding("error", "dataset", f"is of '{robot_type}', wanted is '{load_embodiment(wanted).name}'")
    robot = robot_of(dataset)
    if robot is None:
        yield Finding("warning", "dataset", f"robot '{robot_type}' has no file in config/embodiments: limits are not checked")
    elif state_names(dataset) != vector_names(robot):
        yield Finding("error", "dataset", f"the state's dimensions are not named as those of embodiment '{robot.name}'")
    elif dataset.rate_hz != robot.rate_hz and not robot.joints:
        advice = f"a recipe draws from it with `rate_hz: {dataset.rate_hz:g}`"
        yield Finding("warning", "dataset", f"is at {dataset.rate_hz:g} Hz instead of the robots' {robot.rate_hz:g} Hz: {advice}")
    elif dataset.rate_hz != robot.rate_hz:
        yield Finding("error", "dataset", f"is at {dataset.rate_hz:g} Hz, '{robot.name}' is controlled at {robot.rate_hz:g} Hz")
    yield from _of_statistics(dataset.folder / "meta/stats.json")
    for fault in coding_faults(dataset):
        yield Finding("warning", "dataset", f"{fault}; `dial data merge` refuses it, `dial convert lerobot` makes it one coding")
    for name, reason in dataset.lost.items():
        yield Finding("error", name, reason)
    if not dataset.lost and len(dataset.episodes) != dataset.info.get("total_episodes"):
        yield Finding("error", "dataset", f"{len(dataset.episodes)} episodes, info.json says {dataset.info.get('total_episodes')}")


def _of_statistics(file: Path) -> Iterator[Finding]:
    advice = "; `dial data stats --write` computes it"
    if not file.is_file():
        yield Finding("error", "dataset", f"meta/stats.json is missing{advice}")
        return
    try:
        content = read_json(file)
    except DialError as error:
        yield Finding("error", "dataset", f"{error}{advice}")
        return
    if missing := set(VECTORS) - set(content if isinstance(content, dict) else ()):
        yield Finding("error", "dataset", f"meta/stats.json lacks {', '.join(sorted(missing))}{advice}")


def _of_vectors(span: EpisodeSpan, columns: Columns, robot: Embodiment | None) -> Iterator[Finding]:
    for name in VECTORS:
        if name not in columns:
            yield Finding("error", span.name, f"has no {name}")
            return
        if fault := not_finite(columns[name], vector_names(robot) if robot else ()):
            yield Finding("error", span.name, f"{name}: {fault}")
            return
    states, actions = columns["observation.state"], columns["action"]
    if len(states) > 1 and np.array_equal(states, actions):
        yield Finding("warning", span.name, "every action equals the state of the same moment: a policy learns to stand still")
    if robot is None or states.shape[1] != robot.state_dim or actions.shape[1] != robot.state_dim or not robot.joints:
        return
    joints = states[:, EEF_DIM:]
    if len(states) > 1 and np.ptp(joints, axis=0).max() < STILL_RAD:
        yield Finding("warning", span.name, "no joint moves")
    beyond = np.maximum(robot.lower - actions[:, EEF_DIM:], actions[:, EEF_DIM:] - robot.upper).max(0)
    if (beyond > LIMIT_SLACK_RAD).any():
        worst = int(beyond.argmax())
        yield Finding("warning", span.name, f"action of '{robot.joint_names[worst]}' goes {beyond[worst]:.2f} rad beyond its limit")


def _of_words(dataset: LeRobotDataset, span: EpisodeSpan, columns: Columns) -> Iterator[Finding]:
    if not dataset.instruction(span, columns).strip():
        yield Finding("error", span.name, "its instruction is empty")


def _of_videos(dataset: LeRobotDataset, span: EpisodeSpan, sampled: Collection[tuple[str, int]]) -> Iterator[Finding]:
    """Faults of the episode's videos. By their times and headers alone packets of any content look sound.

    The first frame is decoded, or, of our own videos of `sampled` episodes, a frame a second, which is compared with their statistics.
    """
    for name, key in dataset.video_keys.items():
        feature = dataset.features[key]
        try:
            seen = dataset.row_frames(span, name)
            assert isinstance(seen, RowFrames)
            compared = dataset.version == "v3.0" and coded_as_ours(feature) and (name, span.index) in sampled
            height_width = _size(seen.video) if compared else next(seen.frames([0])).shape[:2]
            if feature.height_width not in ((0, 0), height_width):
                sizes = ["x".join(map(str, size)) for size in (height_width, feature.height_width)]
                yield Finding("error", span.name, f"{name}: frames are {sizes[0]}, info.json says {sizes[1]}")
            elif dataset.version == "v3.0" and (fault := misplaced(dataset, span, name, seen)):
                yield Finding("error", span.name, f"{name}: {fault}; `dial convert lerobot` goes by the frames' times")
            elif compared:
                _compare(dataset, span, name, seen)
        except DialError as error:
            yield Finding("error", span.name, f"{name}: {str(error).replace(f'{dataset.folder}/', '')}")


def _compare(dataset: LeRobotDataset, span: EpisodeSpan, camera: str, seen: RowFrames) -> None:
    """Compares one of our own videos with its statistics. Raises DialError as `own_video`, or that its first frame cannot be decoded."""
    try:
        own_video(dataset, span, camera)
    except DialError:
        next(seen.frames([0]))  # which would be the cause of whatever else was found
        raise


def _size(video: Path) -> tuple[int, int]:
    """Height and width [px] of a video by its header."""
    coding = coding_of(video)
    return coding.height, coding.width
