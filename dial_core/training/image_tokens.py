"""The frozen vision tower's tokens of every frame of a dataset, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dial_core.checkpoint.stored_weights import TensorFile, architecture_in
from dial_core.datasets.lerobot import LeRobotDataset, camera_key
from dial_core.errors import DialError
from dial_core.files.array_file import ArrayFile
from dial_core.files.atomic import atomic_write, write_text
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.observation.camera_view import CameraView, fit_view
from dial_core.training.image_encoding import COMPILED_FROM_IMAGES, ImageEncoder, encoding_device
from dial_core.training.mapped_dataset import alone, features_folder, frames_digest

_EPISODES_PER_JOB = 10

_opened: dict[tuple[str, str, bool], tuple[ImageEncoder, LeRobotDataset]] = {}


@dataclass(frozen=True)
class FeatureJob:
    """Encode the frames of some episodes of a dataset into the rows of `file`.

    `compiled`: see `ImageEncoder`. `sharing`: processes that work at the same time, see `encoding_device`.
    """

    model: str
    dataset: str
    file: str
    first_episode: int
    last_episode: int
    camera: str
    view: CameraView
    compiled: bool = False
    sharing: int = 1


def cached_features(model_folder: Path, dataset: LeRobotDataset, workers: int, camera: str, view: CameraView) -> ArrayFile:
    """Image tokens of every frame of a camera, float16 (F, N, d) on disk; computed first where they are missing.

    They lie in `features_folder` under the hash of the vision tower and the view, so that every model with the same (frozen) tower
    shares them. An interrupted computation resumes where it stopped; where the dataset's frames have changed since, it begins again.

    Args:
        camera: of the dataset, by name.
        view: how the model sees its frames.
    """
    arch = DialConfig(architecture_in(model_folder)).arch
    file = features_folder(dataset.folder) / stored_vision_hash(model_folder) / _view_folder(dataset, camera, view) / "tokens.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    with alone(file.with_name("lock")):
        last = dataset.episodes[-1]
        shape = (last.first + last.length, arch.foresight_tokens, arch.feature_width)
        _forget_others(file, frames_digest(dataset, [camera]), shape)
        _allocate(file, shape)
        jobs = list(_missing_jobs(model_folder, dataset, file, camera, view))
        images = sum(span.length for job in jobs for span in dataset.episodes[job.first_episode : job.last_episode])
        compiled = images >= COMPILED_FROM_IMAGES * max(1, workers)
        try:
            _encode_missing(dataset, [replace(job, compiled=compiled, sharing=max(1, workers)) for job in jobs], file, workers)
        finally:
            _opened.clear()  # without workers this process has loaded the tower
    return ArrayFile(file)


def _encode_missing(dataset: LeRobotDataset, jobs: list[FeatureJob], file: Path, workers: int) -> None:
    todo = sum(job.last_episode - job.first_episode for job in jobs)
    if not jobs:
        return
    with progress_bar("image tokens of episodes", len(dataset.episodes), len(dataset.episodes) - todo) as advance:
        for result in run_jobs(encode_episodes, jobs, workers):
            if result.error:
                raise DialError(f"Encoding episodes of {dataset.folder} failed: {result.error}")
            _done_mark(file, result.job.first_episode).touch()
            advance(result.job.last_episode - result.job.first_episode)


def encode_episodes(job: FeatureJob) -> None:
    """Decodes the frames of one job's episodes, each once and in order, and writes the rows of their tokens."""
    key = (job.model, job.dataset, job.compiled)
    if key not in _opened:
        model = DialModel.from_pretrained(job.model, "system1").eval()  # the part that has the towers and no language model
        device = encoding_device(model, job.sharing)
        _opened[key] = (ImageEncoder(model.to(device), job.compiled), LeRobotDataset(Path(job.dataset)))
    encoder, dataset = _opened[key]
    rows = np.load(job.file, mmap_mode="r+")
    row = dataset.episodes[job.first_episode].first
    for tokens in encoder(_frames(dataset, job)):
        rows[row : row + len(tokens)] = tokens
        row += len(tokens)
    rows.flush()


def _frames(dataset: LeRobotDataset, job: FeatureJob) -> Iterator[np.ndarray]:
    for span in dataset.episodes[job.first_episode : job.last_episode]:
        for frame in dataset.row_frames(span, job.camera).frames(range(span.length)):
            yield fit_view(frame, job.view)


def vision_hash(model: DialModel) -> str:
    """Short SHA-256 of the weights that make image tokens: the vision tower with its merger, and a second tower."""
    return _hash_of(sorted(model.state_dict().items()))


def stored_vision_hash(folder: Path) -> str:
    """`vision_hash` of the model in a checkpoint folder, of which only the towers are read.

    Raises:
        DialError: there is no such model.
    """
    if DialConfig(architecture_in(folder)).arch.view_encoder is not None:  # it is stored under other names than it has
        return vision_hash(DialModel.from_pretrained(folder, "system1"))
    file = TensorFile(folder / "model.safetensors")
    return _hash_of((name, file.read(name)) for name in file.names if _makes_tokens(name))


def _hash_of(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, value in tensors:
        if _makes_tokens(name):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def _makes_tokens(tensor: str) -> bool:
    return "visual" in tensor or tensor.startswith("view_encoder.")


def _view_folder(dataset: LeRobotDataset, camera: str, view: CameraView) -> str:
    """Empty for the first camera's frames as they are stored, which is where earlier versions kept theirs."""
    shape = tuple(dataset.info["features"][camera_key(camera)]["shape"][:2])
    untouched = shape == (view.height, view.width) and view.crop is None
    if untouched and camera == dataset.cameras[0]:
        return ""
    return f"{camera}-" + hashlib.sha256(view.model_dump_json(exclude={"name"}).encode()).hexdigest()[:8]


def _forget_others(file: Path, frames: str, shape: tuple[int, int, int]) -> None:
    """Removes tokens of other frames than those of the digest `frames`: the dataset in this place was replaced, or got more episodes.

    Tokens from before the digest was noted are kept if they are as many.
    """
    noted = file.with_name("frames")
    others = noted.exists() and noted.read_text(encoding="utf-8") != frames
    if others or (file.exists() and np.load(file, mmap_mode="r").shape != shape):
        for mark in file.parent.glob("episodes-*.done"):
            mark.unlink()
        file.unlink(missing_ok=True)
    write_text(noted, frames)


def _allocate(file: Path, shape: tuple[int, int, int]) -> None:
    if not file.exists():
        with atomic_write(file) as partial:
            np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)


def _missing_jobs(model_folder: Path, dataset: LeRobotDataset, file: Path, camera: str, view: CameraView) -> Iterator[FeatureJob]:
    episodes = len(dataset.episodes)
    for first in range(0, episodes, _EPISODES_PER_JOB):
        if not _done_mark(file, first).exists():
            last = min(first + _EPISODES_PER_JOB, episodes)
            yield FeatureJob(str(model_folder), str(dataset.folder), str(file), first, last, camera, view)


def _done_mark(file: Path, first_episode: int) -> Path:
    return file.parent / f"episodes-{first_episode:06d}.done"
