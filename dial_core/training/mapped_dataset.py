"""A LeRobot dataset at any size: its vectors are gathered once into one memory-mapped file each.

A published dataset has tens of thousands of parquet files. Reading them takes minutes and gigabytes in every process of every run; a
memory map opens at once, and all processes of a computer share its pages.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dial_core.datasets.columns import Columns
from dial_core.datasets.episode_spans import EpisodeSpan
from dial_core.datasets.lerobot import ACTION_MASK, LeRobotDataset
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder, write_text
from dial_core.finiteness import DROP_EPISODE, require_finite
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs

_EPISODES_PER_JOB = 200
_STATE, _ACTION = "observation.state", "action"
_STORED = {_STATE: "states.npy", _ACTION: "actions.npy", ACTION_MASK: "action_mask.npy"}

_opened: dict[str, LeRobotDataset] = {}


@dataclass(frozen=True)
class GatherJob:
    """Copy the vectors of some episodes of a dataset into the files of `folder`."""

    dataset: str
    folder: str
    first_episode: int
    last_episode: int


class MappedDataset(LeRobotDataset):
    """A dataset whose `states`, `actions` and `action_mask` are read-only memory maps (F, D), finite throughout.

    They lie in the dataset's folder under a hash of its metadata and its parquet files' sizes and times, and are gathered again where
    one of those changed.
    """

    def __init__(self, folder: Path, workers: int = 0) -> None:
        """Opens `folder`; the first time, `workers` processes (0: this one) gather its vectors.

        Raises:
            DialError: as `LeRobotDataset`, or a value is not finite; the message names episode, frame and dimension.
        """
        super().__init__(folder)
        self.workers = workers

    @property
    def frame_count(self) -> int:
        """Frames of all episodes."""
        last = self.episodes[-1]
        return last.first + last.length

    @cached_property
    def states(self) -> np.ndarray:
        """States of all episodes one after the other, float32 (F, S) [m, rad]."""
        return self._mapped(_STATE)

    @cached_property
    def actions(self) -> np.ndarray:
        """Actions of all episodes, absolute targets, float32 (F, A) [m, rad]."""
        return self._mapped(_ACTION)

    @cached_property
    def action_mask(self) -> np.ndarray | None:
        """1 where an action counts, float32 (F, A); None: everywhere."""
        return self._mapped(ACTION_MASK) if ACTION_MASK in self.features else None

    @cached_property
    def content(self) -> str:
        """Short SHA-256 of what is trained on: all vectors and instructions, the lengths of the files with the frames. Copies share it."""
        words = json.dumps([span.tasks for span in self.episodes])
        return hashlib.sha256(f"{self._vectors_digest()} {frames_digest(self, tuple(self.camera_keys))} {words}".encode()).hexdigest()[:16]

    def gather(self) -> None:
        """Gathers the vectors, if they are not there yet. Raises DialError where a value is not finite."""
        _ = self._store

    def _mapped(self, column: str) -> np.ndarray:
        return np.load(self._store / _STORED[column], mmap_mode="r")

    @cached_property
    def _store(self) -> Path:
        """The folder of the gathered vectors, which is there afterwards."""
        store = features_folder(self.folder) / f"vectors-{rows_digest(self)}"
        if not store.exists():
            store.parent.mkdir(parents=True, exist_ok=True)
            with alone(store.parent / "vectors.lock"):
                if not store.exists():
                    self._gather(store)
        return store

    def _vectors_digest(self) -> str:
        """SHA-256 of the gathered vectors, computed once: they may be many gigabytes."""
        noted = self._store / "sha256"
        if not noted.exists():
            digest = hashlib.sha256()
            for file in sorted(self._store.glob("*.npy")):
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
            write_text(noted, digest.hexdigest())
        return noted.read_text(encoding="utf-8")

    def _gather(self, store: Path) -> None:
        columns = [column for column in _STORED if column in self.features or column != ACTION_MASK]
        first, episodes = self.columns(self.episodes[0]), len(self.episodes)
        with atomic_folder(store) as staging:
            for column in columns:
                shape = (self.frame_count, first[column].shape[1])
                np.lib.format.open_memmap(staging / _STORED[column], mode="w+", dtype=np.float32, shape=shape)
            starts = range(0, episodes, _EPISODES_PER_JOB)
            jobs = [GatherJob(str(self.folder), str(staging), start, min(start + _EPISODES_PER_JOB, episodes)) for start in starts]
            with progress_bar(f"vectors of {self.folder.name}, episodes", episodes, quiet=len(jobs) == 1) as advance:
                for result in run_jobs(gather_episodes, jobs, self.workers if len(jobs) > 1 else 0):
                    if problem := result.error or result.value:
                        raise DialError(problem)
                    advance(result.job.last_episode - result.job.first_episode)
        _opened.clear()


def gather_episodes(job: GatherJob) -> str:
    """Writes the rows of one job's episodes; returns what is wrong with the data, empty if nothing is."""
    try:
        _gather_episodes(job)
    except DialError as error:
        return str(error)
    return ""


def _gather_episodes(job: GatherJob) -> None:
    if job.dataset not in _opened:
        _opened[job.dataset] = LeRobotDataset(Path(job.dataset))
    dataset = _opened[job.dataset]
    files = {column: path for column, name in _STORED.items() if (path := Path(job.folder) / name).exists()}
    maps = {column: np.load(path, mmap_mode="r+") for column, path in files.items()}
    for span in dataset.episodes[job.first_episode : job.last_episode]:
        columns = dataset.columns(span)
        _require_one_task(dataset, span, columns)
        for column, rows in maps.items():
            vectors = columns[column].astype(np.float32)
            if vectors.shape[1] != rows.shape[1]:
                raise DialError(f"{dataset.folder}: {column} has {vectors.shape[1]}, {rows.shape[1]} values in different episodes")
            names = dataset.info["features"][column].get("names") or ()
            require_finite(vectors, f"{dataset.folder}, {span.name}: {column}", names, DROP_EPISODE)
            rows[span.first : span.first + span.length] = vectors


def _require_one_task(dataset: LeRobotDataset, span: EpisodeSpan, columns: Columns) -> None:
    """Refuses an episode whose instruction changes on the way: all its frames would be trained with the first one."""
    try:
        if "task_index" in columns:
            dataset.words_of_rows(columns)
    except DialError as error:
        raise DialError(f"{dataset.folder}, {span.name}: {error}") from error


def rows_digest(dataset: LeRobotDataset) -> str:
    """Short SHA-256 of a dataset's metadata and its parquet files' sizes and times: it changes where a row may have."""
    digest = hashlib.sha256((dataset.folder / "meta/info.json").read_bytes())
    for path in dict.fromkeys(span.table for span in dataset.episodes):
        status = path.stat() if path.exists() else None
        digest.update(f"{path.name} {status and (status.st_size, status.st_mtime_ns)}".encode())
    digest.update(str([span.length for span in dataset.episodes]).encode())
    return digest.hexdigest()[:12]


def frames_digest(dataset: LeRobotDataset, cameras: Sequence[str]) -> str:
    """SHA-256 of how the episodes lie in the files of some cameras, and of those files' lengths: it changes where frames do.

    Without their times: a copy of a dataset has the same frames.
    """
    digest = hashlib.sha256()
    lengths: dict[Path, int] = {}
    for span in dataset.episodes:
        for camera in cameras:
            video = span.videos.get(camera)
            path = video.path if video else span.table  # single images lie among the rows
            if path not in lengths:
                lengths[path] = path.stat().st_size if path.exists() else -1
            place = (video.start_s, video.first) if video else ()
            digest.update(f"{span.index} {span.length} {camera} {path.relative_to(dataset.folder)} {lengths[path]} {place}\n".encode())
    return digest.hexdigest()


def features_folder(dataset: Path) -> Path:
    """Where what is computed from a dataset is kept: its `features/`, or if it cannot be written to, a folder in the user's cache."""
    inside = dataset / "features"
    if os.access(inside if inside.exists() else dataset, os.W_OK):
        return inside
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "dial" / f"{dataset.name}-{hashlib.sha256(str(dataset.resolve()).encode()).hexdigest()[:12]}"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Holds the lock file `lock`, waiting for another process that does; the system frees it where that one dies."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
