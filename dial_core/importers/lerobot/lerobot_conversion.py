"""`dial convert lerobot`: LeRobot v2.0, v2.1 and v3.0 datasets of a robot to LeRobot v3 with our vectors, rate and image size."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dial_core.datasets.episode_spans import EpisodeSpan
from dial_core.datasets.episodes import StoredEpisode, store_episode
from dial_core.datasets.lerobot import LeRobotDataset, camera_name
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.datasets.video import encode
from dial_core.errors import DialError
from dial_core.finiteness import DROP_EPISODE, require_finite
from dial_core.importers.command_agreement import EXPLAINED, LONGEST_LAG_S, behind_steps, comparable, followed_alone
from dial_core.importers.engine import ImportJob, distinct_names, import_jobs, sized, work_folder
from dial_core.importers.job_reports import ImportReport, JobReport
from dial_core.importers.retiming import retime
from dial_core.importers.source_mapping import SourceMapping, VectorReader, load_mapping
from dial_core.importers.work_files import digest_of_converter, work_stem
from dial_core.observation.camera_view import FITS, Box, CameraView, Fit, fit_view
from dial_core.robot.embodiment import Embodiment, load_embodiment

ACTIONS = ("recorded", "next")
SHORTEST_STEPS = 2
STEPS_NOT_TARGETS, FAR_RAD = 0.25, 0.1  # actions this much closer to the joints' steps than to the joints, which are this far away


@dataclass(frozen=True)
class LeRobotConversion:
    """Settings of the conversion, the same for every episode.

    Attributes:
        mapping: name in `config/sources/`, or a path.
        embodiment: name or path; empty: the mapping's.
        actions: `recorded`, or `next`: the state one step later.
        fit: how frames of another aspect ratio become the model's (`CameraView`).
        instruction: for all episodes; empty: their own.
        image_size: height and width [px] of the images; 0: those of the embodiment's camera.
        crop: the part of the camera's image that is kept (`SeenCamera`).
        first: at most so many episodes of each dataset, its first ones; 0: all.
    """

    mapping: str = "by_name"
    embodiment: str = ""
    actions: str = "recorded"
    fit: Fit = "crop"
    instruction: str = ""
    image_size: int = 0
    crop: Box | None = None
    first: int = 0

    def robot(self) -> Embodiment:
        """The embodiment that the data is of, with cameras of the wanted size."""
        return sized(load_embodiment(self.embodiment or load_mapping(self.mapping).embodiment), self.image_size)

    def reader(self, source: LeRobotDataset) -> VectorReader:
        """How the vectors of a dataset become the robot's. Raises DialError if its parts do not fit."""
        return VectorReader(load_mapping(self.mapping), source.modality, self.robot(), with_actions=self.actions == "recorded")

    def chosen(self, source: LeRobotDataset) -> Sequence[EpisodeSpan]:
        """The episodes of a dataset that are converted."""
        return source.episodes[: self.first or None]

    def view(self) -> CameraView:
        """How frames are stored."""
        camera = self.robot().cameras[0]
        return CameraView(name=camera.name, height=camera.height, width=camera.width, crop=self.crop, fit=self.fit)


def convert_lerobot(
    sources: Sequence[Path], out: Path, settings: LeRobotConversion, workers: int, skip_crashed: bool = False
) -> ImportReport:
    """Converts all episodes of all source folders, in order, into one dataset at `out`.

    Raises:
        DialError: a folder is no dataset, its parts do not fit the embodiment, or no episode could be converted.
    """
    for name, value, choices in (("actions", settings.actions, ACTIONS), ("fit", settings.fit, FITS)):
        if value not in choices:
            raise DialError(f"{name} is '{value}'; choose one of: {', '.join(choices)}")
    embodiment = settings.robot()
    jobs: list[ImportJob] = []
    lost: dict[str, str] = {}
    columns: list[str] = []
    version = digest_of_converter(__name__)
    for place, (folder, title) in enumerate(zip(sources, distinct_names(sources), strict=True)):
        source = LeRobotDataset(folder, accept_cut=True)
        columns.append(_columns_of(source))
        lost |= {f"{title}, {name}": reason for name, reason in source.lost.items()}
        # Faults of all episodes are reported once, before any work.
        settings.reader(source)
        camera_of(source, load_mapping(settings.mapping))
        words, places = _digest(str(source.tasks)), _places_in_videos(source)
        jobs += [
            ImportJob(
                f"{title}, {episode.name}",
                str(folder),
                episode.index,
                str(work_folder(out)),
                f"{place:03d}-{work_stem(folder, episode.index)}",  # the fingerprint holds the sources in their order
                settings,
                (episode.table, *(video.path for video in episode.videos.values())),
                f"{version} {words} {episode.tasks} {[places[video.path] for video in episode.videos.values()]}",
            )
            for episode in settings.chosen(source)
        ]
    interpretation = {
        "mapping_rules": load_mapping(settings.mapping).model_dump(mode="json"),
        "parts": [_parts_of(folder) for folder in sources],
        "columns": columns,
    }
    fingerprint = {"sources": [str(folder) for folder in sources], **asdict(settings), **interpretation}
    return import_jobs(
        convert_episode, jobs, out, embodiment, [settings.view()], fingerprint, workers,
        lost=lost, defaults={"first": 0, **interpretation}, skip_crashed=skip_crashed,
    )  # fmt: skip


def _parts_of(folder: Path) -> str:
    """Short SHA-256 of the file that names the parts of a dataset's vectors; empty if there is none."""
    file = folder / "meta/modality.json"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""


def _columns_of(source: LeRobotDataset) -> str:
    """Short SHA-256 of what `info.json` says of all rows, their rate and the names of their dimensions, but not of how many there are."""
    features = {key: feature.model_dump(mode="json") for key, feature in source.features.items()}
    return _digest(json.dumps([source.rate_hz, features], sort_keys=True))


def _places_in_videos(source: LeRobotDataset) -> dict[Path, str]:
    """Of each video a short SHA-256 of where all its episodes lie in it: the frames of one are found by the lengths of the others."""
    places: dict[Path, list] = {}
    for span in source.episodes:
        for video in span.videos.values():
            places.setdefault(video.path, []).append((span.index, span.length, video.start_s, video.end_s))
    return {path: _digest(str(found)) for path, found in places.items()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def convert_episode(job: ImportJob) -> JobReport:
    """Converts one episode and writes its file."""
    try:
        return _converted(job)
    except DialError as error:  # the job's name says which dataset and episode
        text = re.sub(rf"{re.escape(job.source)}(/|, episode \d+: |: )", "", str(error))
        raise DialError(text) from error


def _converted(job: ImportJob) -> JobReport:
    settings: LeRobotConversion = job.settings
    source, mapping = opened(Path(job.source)), load_mapping(settings.mapping)
    embodiment = settings.robot()
    episode = source.episodes[bisect_left(source.episodes, job.key, key=lambda span: span.index)]
    columns = source.columns(episode)
    if source.invalid(columns):
        raise DialError("its annotation says that it is not valid")
    reader = settings.reader(source)
    timing = retime(episode.length, source.rate_hz, embodiment.rate_hz)
    states = reader.states(columns)
    actions = reader.actions(columns) if settings.actions == "recorded" else next_states(states)
    for what, vectors in {"state": states, "action": actions}.items():
        require_finite(vectors, what, vector_names(embodiment), DROP_EPISODE)
    _require_targets(states[:, embodiment.joint_slice], actions[:, embodiment.joint_slice])
    remarks = _doubts(states, actions, embodiment, source.rate_hz)
    # An action is where the robot is to be one step later: of the recording there, of the control rate here.
    ahead_s = 1 / embodiment.rate_hz - 1 / source.rate_hz
    targets = retime(episode.length, source.rate_hz, embodiment.rate_hz, ahead_s)
    states, actions = timing.vectors(states), targets.vectors(actions)
    if settings.actions == "next":
        actions = next_states(states)
    if len(states) < SHORTEST_STEPS:
        raise DialError(f"only {len(states)} steps at {embodiment.rate_hz:g} Hz")
    view, seen = settings.view(), source.row_frames(episode, camera_of(source, mapping))
    frames = (fit_view(frame, view) for frame in seen.frames(timing.frames.tolist()))
    words = settings.instruction or source.instruction(episode, columns, mapping.annotation or None).removeprefix(mapping.drop_prefix)
    if not words.strip():
        raise DialError("its instruction is empty; give one with --instruction")
    facts = {"source": job.name, **episode.facts}
    coded = encode(frames, embodiment.rate_hz)
    store_episode(job.episode(), StoredEpisode(coded, _float32(states), _float32(actions), words, episode.index, facts))
    return JobReport(job.name, [job.episode().name], remarks=remarks, source_sizes={view.name: seen.size})


def _require_targets(states: np.ndarray, actions: np.ndarray) -> None:
    """Refuses actions (T, J) [rad] that are steps from the measured joints, where targets are expected."""
    if len(states) < SHORTEST_STEPS or not states.shape[1]:
        return
    apart = np.abs(actions - states).max(1).mean()
    as_steps = np.abs(actions - (next_states(states) - states)).max(1).mean()
    if apart > FAR_RAD and as_steps < STEPS_NOT_TARGETS * apart:
        raise DialError(
            f"its actions look like steps, not like targets: they are {apart:.2f} rad from the joints and {as_steps:.2f} rad from "
            "their steps; say so by `absolute: false` in meta/modality.json, or take the next states (--actions next)"
        )


def _doubts(states: np.ndarray, actions: np.ndarray, embodiment: Embodiment, rate_hz: float) -> list[str]:
    """What is odd about actions (T, S) that are no steps, a sentence each."""
    if len(states) < SHORTEST_STEPS:
        return []
    lags = range(round(LONGEST_LAG_S * rate_hz) + 1)
    ranges = embodiment.upper - embodiment.lower
    wanted, measured = (comparable(vectors[:, embodiment.joint_slice], ranges) for vectors in (actions, next_states(states)))
    late = behind_steps(wanted, measured, lags)
    if late > 1:  # 1: actions that are the states of their rows, which `dial data check` warns of
        return [
            f"its actions come {(late - 1) / rate_hz:.2f} s after the joints' own motion; were rows shifted? "
            "--actions next takes the next states"
        ]
    shares = followed_alone(wanted, measured, embodiment.joint_names, lags)
    others = [name for name, share in shares.items() if share < EXPLAINED]
    return [f"{', '.join(others)} moved otherwise than its actions say; are they of other joints?"] if others else []


def next_states(states: np.ndarray) -> np.ndarray:
    """The state (T, D) one step later; the last one stays."""
    return np.concatenate([states[1:], states[-1:]])


def camera_of(source: LeRobotDataset, mapping: SourceMapping) -> str:
    """The camera that the mapping asks for, as `LeRobotDataset.camera_keys` names it.

    Raises:
        DialError: there is none with colours; the message lists them.
    """
    videos = source.modality.videos
    colours = [name for name, key in videos.items() if not source.features[key].is_depth]
    name = mapping.camera or next(iter(colours), "")
    if videos and not colours:
        raise DialError(f"{source.folder}: its cameras hold depth maps only ({', '.join(videos)}); a policy needs colours")
    if name not in videos:
        raise DialError(f"{source.folder} has no camera '{name}'; cameras: {', '.join(videos) or 'none'}. Name one in the mapping")
    if name not in colours:
        raise DialError(f"{source.folder}: camera '{name}' holds depth maps; name one with colours in the mapping: {', '.join(colours)}")
    return camera_name(videos[name])


def opened(folder: Path) -> LeRobotDataset:
    """The dataset in `folder`, kept open: its metadata are read once in each process, not once for each episode."""
    return _opened(folder, tuple(file.stat().st_mtime_ns for file in sorted((folder / "meta").glob("*")) if file.is_file()))


@lru_cache(maxsize=4)
def _opened(folder: Path, changed_ns: tuple[int, ...]) -> LeRobotDataset:
    return LeRobotDataset(folder, accept_cut=True)


def _float32(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)
