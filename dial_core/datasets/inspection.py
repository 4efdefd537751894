"""`dial data check`: what is wrong with a dataset, episode by episode, before an hour of training shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np

from dial_core.datasets.lerobot_meta import vector_names
from dial_core.datasets.lerobot_source import LeRobotSource, SourceEpisode
from dial_core.datasets.normalisation import warnings_about
from dial_core.errors import DialError
from dial_core.robot.embodiment import EEF_DIM, Embodiment, load_embodiment

LIMIT_SLACK_RAD = 0.05
STILL_RAD = 1e-4


@dataclass(frozen=True)
class Finding:
    """Something about one episode, or about the whole dataset (`where` is its name): an `error` stops training, a `warning` hurts it."""

    kind: Literal["error", "warning"]
    where: str
    text: str


def check_dataset(folder: Path, embodiment: str = "") -> list[Finding]:
    """All that is wrong with a dataset in our layout, errors first; `embodiment`: the robot that it is wanted for.

    Raises:
        DialError: it is no LeRobot dataset at all.
    """
    source = LeRobotSource(folder)
    findings = [*_about_the_whole(source, embodiment)]
    robot = _robot(source)
    kept: dict[str, list[np.ndarray]] = {"observation.state": [], "action": []}
    for episode in source.episodes:
        try:
            columns = source.columns(episode)
            findings += _about_vectors(episode, columns, robot)
            findings += _about_words(source, episode, columns)
            for name, parts in kept.items():
                if name in columns and np.isfinite(columns[name]).all():
                    parts.append(columns[name])
        except DialError as error:
            findings.append(Finding("error", episode.name, str(error).removeprefix(f"{source.folder}, {episode.name}: ")))
    findings += _about_videos(source)
    for name, parts in kept.items():
        if parts and len({part.shape[1] for part in parts}) == 1:
            names = source.features[name].get("names") or ()
            findings += [Finding("warning", "dataset", news) for news in warnings_about(np.concatenate(parts), name, names)]
    return sorted(findings, key=lambda finding: finding.kind)


def _about_the_whole(source: LeRobotSource, wanted: str) -> Iterator[Finding]:
    if source.version != "v3.0":
        yield Finding("error", "dataset", f"LeRobot version {source.version}: bring it in with `dial convert lerobot`")
    robot_type = str(source.info.get("robot_type"))
    if wanted and robot_type != load_embodiment(wanted).name:
        yield Finding("error", "dataset", f"is of '{robot_type}', wanted is '{load_embodiment(wanted).name}'")
    robot = _robot(source)
    if robot is None:
        yield Finding("warning", "dataset", f"robot '{robot_type}' has no file in config/embodiments: limits are not checked")
    elif (source.features["observation.state"].get("names") or []) != vector_names(robot):
        yield Finding("error", "dataset", f"the state's dimensions are not named as those of embodiment '{robot.name}'")
    elif source.rate_hz != robot.rate_hz:
        yield Finding("error", "dataset", f"is at {source.rate_hz:g} Hz, '{robot.name}' is controlled at {robot.rate_hz:g} Hz")
    file = source.folder / "meta/stats.json"
    if not file.is_file():
        yield Finding("error", "dataset", "meta/stats.json is missing; `dial data stats --write` computes it")
    else:
        missing = {"observation.state", "action"} - set(json.loads(file.read_text()))
        if missing:
            yield Finding("error", "dataset", f"meta/stats.json lacks {', '.join(sorted(missing))}; `dial data stats --write` computes it")
    if len(source.episodes) != source.info.get("total_episodes"):
        yield Finding("error", "dataset", f"{len(source.episodes)} episodes, info.json says {source.info.get('total_episodes')}")


def _about_vectors(episode: SourceEpisode, columns: dict[str, np.ndarray], robot: Embodiment | None) -> Iterator[Finding]:
    for name in ("observation.state", "action"):
        if name not in columns:
            yield Finding("error", episode.name, f"has no {name}")
            return
        broken = ~np.isfinite(columns[name])
        if broken.any():
            frame, dimension = np.argwhere(broken)[0]
            called = vector_names(robot)[dimension] if robot and dimension < robot.state_dim else str(dimension)
            yield Finding("error", episode.name, f"{int(broken.sum())} values of {name} are not finite, first in frame {frame}, '{called}'")
            return
    states, actions = columns["observation.state"], columns["action"]
    if len(states) > 1 and np.array_equal(states, actions):
        yield Finding("warning", episode.name, "every action equals the state of the same moment: a policy learns to stand still")
    if robot is None or states.shape[1] != robot.state_dim or not robot.joints:
        return
    joints = states[:, EEF_DIM:]
    if len(states) > 1 and np.ptp(joints, axis=0).max() < STILL_RAD:
        yield Finding("warning", episode.name, "no joint moves")
    beyond = np.maximum(robot.lower - actions[:, EEF_DIM:], actions[:, EEF_DIM:] - robot.upper).max(0)
    if (beyond > LIMIT_SLACK_RAD).any():
        worst = int(beyond.argmax())
        yield Finding("warning", episode.name, f"action of '{robot.joint_names[worst]}' goes {beyond[worst]:.2f} rad beyond its limit")


def _about_words(source: LeRobotSource, episode: SourceEpisode, columns: dict[str, np.ndarray]) -> Iterator[Finding]:
    if not source.instruction(episode, columns).strip():
        yield Finding("error", episode.name, "its instruction is empty")


def _about_videos(source: LeRobotSource) -> Iterator[Finding]:
    lengths: dict[Path, int | str] = {}
    for episode in source.episodes:
        for key, (video, first) in episode.videos.items():
            if video not in lengths:
                lengths[video] = _frames_in(video)
            found = lengths[video]
            if isinstance(found, str):
                yield Finding("error", episode.name, f"{key}: {found}")
            elif found < first + episode.length:
                yield Finding(
                    "error", episode.name, f"{key}: {video.name} has {found} frames, the episode needs up to {first + episode.length}"
                )


def _frames_in(video: Path) -> int | str:
    try:
        with av.open(str(video), "r") as container:
            return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    except (av.FFmpegError, OSError, IndexError) as error:
        return f"{video.name} cannot be read: {error}"


def _robot(source: LeRobotSource) -> Embodiment | None:
    try:
        return load_embodiment(str(source.info.get("robot_type")))
    except DialError:
        return None
