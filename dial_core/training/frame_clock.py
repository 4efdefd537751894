"""When the frame of each row is shown in its video, found once for a camera of a dataset: what training from pixels seeks.

The rule is that of `images: cached` and of the importers (`datasets/video_rows.py`): a video's own clock counts, not its nominal rate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.video_rows import RowFrames
from dial_core.errors import DialError
from dial_core.files.array_file import ArrayFile
from dial_core.files.atomic import atomic_write
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs
from dial_core.training.mapped_dataset import alone, features_folder, frames_digest, rows_digest

_EPISODES_PER_JOB = 200

_opened: dict[str, LeRobotDataset] = {}


@dataclass(frozen=True)
class ClockJob:
    """Find the frames of a camera that some episodes see."""

    dataset: str
    camera: str
    first_episode: int
    last_episode: int


def frame_clock(dataset: LeRobotDataset, camera: str, workers: int = 0) -> ArrayFile:
    """When each row's frame is shown by the clock of its video [s], float64 (F,).

    Kept in `features_folder` under a hash of the rows' files and of the videos' lengths. The first time, `workers` processes (0: this one)
    read the videos' packets, without decoding them.

    Raises:
        DialError: a video is broken, or some row has no frame; the message says where.
    """
    digest = hashlib.sha256(f"{rows_digest(dataset)} {frames_digest(dataset, (camera,))}".encode()).hexdigest()[:12]
    file = features_folder(dataset.folder) / f"frames-{digest}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with alone(file.with_name("frames.lock")):
            if not file.exists():
                with atomic_write(file) as partial, partial.open("wb") as opened:
                    np.save(opened, _all_times(dataset, camera, workers))
    return ArrayFile(file)


def _all_times(dataset: LeRobotDataset, camera: str, workers: int) -> np.ndarray:
    episodes = len(dataset.episodes)
    starts = range(0, episodes, _EPISODES_PER_JOB)
    jobs = [ClockJob(str(dataset.folder), camera, start, min(start + _EPISODES_PER_JOB, episodes)) for start in starts]
    found: dict[int, np.ndarray] = {}
    _opened.clear()  # the dataset may have been repaired since
    with progress_bar(f"frames of {dataset.folder.name}, episodes", episodes, quiet=len(jobs) == 1) as advance:
        for result in run_jobs(shown_times, jobs, workers if len(jobs) > 1 else 0):
            if isinstance(result.value, str) or result.error:
                raise DialError(result.error or result.value)
            found[result.job.first_episode] = result.value
            advance(result.job.last_episode - result.job.first_episode)
    return np.concatenate([found[start] for start in starts])


def shown_times(job: ClockJob) -> np.ndarray | str:
    """When the frames of one job's rows are shown [s]; or what is wrong with the data."""
    if job.dataset not in _opened:
        _opened[job.dataset] = LeRobotDataset(Path(job.dataset))
    dataset, times = _opened[job.dataset], []
    try:
        for span in dataset.episodes[job.first_episode : job.last_episode]:
            seen = dataset.row_frames(span, job.camera)
            if not isinstance(seen, RowFrames):
                return f"{dataset.folder}: camera '{job.camera}' is stored as single images; training reads videos"
            times.append(seen.shown_s)
    except DialError as error:
        return str(error)
    return np.concatenate(times)
