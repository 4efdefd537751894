"""`dial bench data --size`: does training depend on how large its dataset is? A synthetic dataset of any size, and its measurement.

The dataset is real to every reader (LeRobot v2.1, a parquet file and a video for each episode) and nearly free: all episodes are hard
links to one parquet file and one video, and the image tokens are a sparse file. So what is measured is what grows with the number of
episodes: metadata, files to open, vectors, and the draw.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow
from pyarrow import parquet
from rich.table import Table

from dial_core.config import load_config
from dial_core.datasets.layout_rows import DatasetVectors
from dial_core.datasets.normalisation import fit_normaliser
from dial_core.datasets.video import write_video
from dial_core.errors import DialError
from dial_core.files.array_file import ArrayFile
from dial_core.jobs.workers import run_jobs
from dial_core.model.configuration import Architecture
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.augmentation import ImageAugmentation
from dial_core.training.mapped_dataset import MappedDataset
from dial_core.training.samples import ChunkSamples, Variety
from dial_core.training.streams import CachedTokens, Pixels, TrainingViews, make_stream

RATE_HZ, VIEW_PX, CAMERA = 20.0, 224, "ego"
_EPISODES_A_CHUNK = 1000
_EPISODES_AN_INSTRUCTION = 10
_TOKENS = (64, 2048)  # of an image at full size
_DRAWS, _DECODED = 2000, 200


@dataclass(frozen=True)
class Size:
    """`24000x250`: episodes and frames of each."""

    episodes: int
    frames: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """From `EPISODESxFRAMES`. Raises DialError for anything else."""
        episodes, _, frames = text.partition("x")
        if not (episodes.isdigit() and frames.isdigit() and int(episodes) and int(frames)):
            raise DialError(f"--size '{text}' is not EPISODESxFRAMES, such as 24000x250")
        return cls(int(episodes), int(frames))


@dataclass(frozen=True)
class SizeReport:
    """What a dataset of one size costs.

    Attributes:
        gather_s: to copy all vectors into memory-mapped files, once for a dataset [s].
        open_s: to open it in every later run: metadata, memory maps [s].
        statistics_s: mean and spread of all vectors [s].
        private_mib: memory that opening and drawing took beyond that of the imported packages, pages of mapped files not counted [MiB].
        draws_per_s: samples a second from cached tokens (vectors, prompt, noise, tokens of two views).
        decoded_per_s: samples a second from video, random over all files.
    """

    episodes: int
    frames: int
    gather_s: float
    open_s: float
    statistics_s: float
    private_mib: float
    draws_per_s: float
    decoded_per_s: float


def bench_size(sizes: list[Size], folder: Path) -> list[SizeReport]:
    """Makes a dataset of each size below `folder`, measures it in fresh processes, and deletes it."""
    reports = []
    folder.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        with TemporaryDirectory(dir=folder, prefix=f"dial-{size.episodes}x{size.frames}-") as place:
            dataset = write_synthetic(Path(place) / "dataset", size)
            gather_s = _alone_in_a_process(_gather, dataset)
            reports.append(SizeReport(size.episodes, size.frames, gather_s, **_alone_in_a_process(_measure, dataset)))
    return reports


def table_of_sizes(reports: list[SizeReport]) -> Table:
    """A row for each size."""
    table = Table("episodes x frames", title="training data by its size, one process")
    for column in ("gathered once, s", "opened, s", "statistics, s", "private MiB", "samples/s, tokens", "samples/s, video"):
        table.add_column(column, justify="right")
    for report in reports:
        table.add_row(
            f"{report.episodes:,} x {report.frames}",
            *(f"{value:.1f}" for value in (report.gather_s, report.open_s, report.statistics_s)),
            *(f"{value:,.0f}" for value in (report.private_mib, report.draws_per_s, report.decoded_per_s)),
        )
    return table


def write_synthetic(folder: Path, size: Size) -> Path:
    """A LeRobot dataset v2.1 of the GR1 whose episodes are all the same; returns `folder`."""
    robot, rng = load_embodiment(), np.random.default_rng(0)
    vectors = np.cumsum(rng.normal(0, 0.01, (size.frames, robot.state_dim)), 0).astype(np.float32)
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), robot.state_dim)
    index = np.arange(size.frames)
    table = pyarrow.table({"observation.state": column, "action": column, "frame_index": index, "timestamp": (index / RATE_HZ)})
    image = rng.integers(0, 255, (VIEW_PX // 8, VIEW_PX // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    (folder / "meta").mkdir(parents=True)
    parquet.write_table(table, folder / "rows.parquet")
    write_video(folder / "frames.mp4", (np.roll(image, 2 * step, 1) for step in range(size.frames)), RATE_HZ)
    for episode in range(size.episodes):
        chunk, name = f"chunk-{episode // _EPISODES_A_CHUNK:03d}", f"episode_{episode:06d}"
        data, videos = folder / "data" / chunk, folder / "videos" / chunk / f"observation.images.{CAMERA}"
        if episode % _EPISODES_A_CHUNK == 0:
            data.mkdir(parents=True)
            videos.mkdir(parents=True)
        os.link(folder / "rows.parquet", data / f"{name}.parquet")
        os.link(folder / "frames.mp4", videos / f"{name}.mp4")
    _write_metadata(folder / "meta", size, robot.state_dim)
    return folder


def _write_metadata(meta: Path, size: Size, width: int) -> None:
    vector = {"dtype": "float32", "shape": [width]}
    video = {"dtype": "video", "shape": [VIEW_PX, VIEW_PX, 3]}
    features = {"observation.state": vector, "action": vector, f"observation.images.{CAMERA}": video}
    info = {"codebase_version": "v2.1", "fps": RATE_HZ, "total_episodes": size.episodes, "chunks_size": _EPISODES_A_CHUNK}
    (meta / "info.json").write_text(json.dumps(info | {"features": features}))
    tasks = [f"put the can on plate number {task}" for task in range(-(-size.episodes // _EPISODES_AN_INSTRUCTION))]
    (meta / "tasks.jsonl").write_text("".join(json.dumps({"task_index": k, "task": text}) + "\n" for k, text in enumerate(tasks)))
    rows = ({"episode_index": k, "tasks": [tasks[k % len(tasks)]], "length": size.frames} for k in range(size.episodes))
    (meta / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _alone_in_a_process(function, dataset: Path):
    result = next(iter(run_jobs(function, [str(dataset)], workers=1)))
    if result.error:
        raise DialError(f"measuring {dataset} failed: {result.error}")
    return result.value


def _gather(folder: str) -> float:
    started_s = time.perf_counter()
    MappedDataset(Path(folder)).gather()
    return time.perf_counter() - started_s


def _measure(folder: str) -> dict[str, float]:
    before_mib, started_s = _private_mib(), time.perf_counter()
    dataset = MappedDataset(Path(folder))
    states, actions = dataset.states, dataset.actions
    opened_s = time.perf_counter()
    normaliser = fit_normaliser([states], [actions])
    fitted_s = time.perf_counter()
    arch = load_config(Architecture, "models", "dial_tiny")
    tokens = _sparse_tokens(dataset)
    view = CameraView(name=CAMERA, height=VIEW_PX, width=VIEW_PX)
    sources: dict[int, TrainingViews] = {_DRAWS: CachedTokens(tokens), _DECODED: Pixels(dataset, ImageAugmentation(), CAMERA, view)}
    prompter, rates = Prompter(tiny_tokenizer(), arch.foresight_tokens), []
    for count, views in sources.items():
        stream = make_stream("robot", dataset, DatasetVectors(states, actions, None), [views], normaliser, arch, arch.embodiments[0])
        samples = ChunkSamples([stream], {"robot": 1.0}, prompter, "warmup", arch, Variety(), seed=0)
        begun_s = time.perf_counter()
        for number in range(count):
            samples[number]
        rates.append(count / (time.perf_counter() - begun_s))
    return {
        "open_s": opened_s - started_s,
        "statistics_s": fitted_s - opened_s,
        "private_mib": _private_mib() - before_mib,
        "draws_per_s": rates[0],
        "decoded_per_s": rates[1],
    }


def _sparse_tokens(dataset: MappedDataset) -> ArrayFile:
    """Tokens of every frame at full size, all zero, in a file without content."""
    file = dataset.folder / "tokens.npy"
    np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(dataset.frame_count, *_TOKENS))
    return ArrayFile(file)


def _private_mib() -> float:
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(rows["RssAnon"].split()[0]) / 1024
