"""Random tabletop views with pixel annotations: what `dial pretrain` learns to see from, kept as shards on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dial_core.errors import DialError
from dial_core.files.atomic import atomic_write
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs
from dial_core.sim.random_views import random_views

VIEWS_PER_SHARD = 500


@dataclass(frozen=True)
class Views:
    """Views and what each shows.

    Attributes:
        images: uint8 (V, H, W, 3).
        pixels: float32 (V, K, 2) as (x, y) [px], NaN where a name is not visible.
        names: (K) what is annotated: types of things, `palm`, `thumb`, `handle`.
        tasks: (V) the task whose table each view shows.
    """

    images: np.ndarray
    pixels: np.ndarray
    names: list[str]
    tasks: list[str]

    def __len__(self) -> int:
        return len(self.images)

    def visible(self, index: int) -> dict[str, tuple[float, float]]:
        """Name -> (x, y) [pixel] of everything that view `index` shows."""
        pixels = self.pixels[index]
        return {name: (float(x), float(y)) for name, (x, y) in zip(self.names, pixels, strict=True) if np.isfinite(x)}

    def take(self, indices: np.ndarray) -> Views:
        """The views at `indices`, in that order."""
        return Views(self.images[indices], self.pixels[indices], self.names, [self.tasks[index] for index in indices])

    def first(self, count: int) -> Views:
        """The first `count` views, or all that there are; they share memory with these."""
        return Views(self.images[:count], self.pixels[:count], self.names, self.tasks[:count])

    def split(self, count: int, seed: int) -> tuple[Views, Views]:
        """`count` random views (all, if there are no more) and the others in random order, as copies."""
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(order[:count]), self.take(order[count:])


@dataclass(frozen=True)
class ShardJob:
    """One shard: `count` views of `suites` (name -> weight), `recoloured` as in `random_views`, from the stream `seed`, to `path`."""

    suites: dict[str, float]
    recoloured: float
    seed: int
    count: int
    path: str


def render_views(suites: dict[str, float], recoloured: float, count: int, seed: int, folder: Path, workers: int) -> Path:
    """Renders `count` random views as shards in `folder`; shards that exist are kept. `suites`, `recoloured`: see `random_views`."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for first in range(0, count, VIEWS_PER_SHARD):
        shard = seed * 1_000_000 + first
        size = min(VIEWS_PER_SHARD, count - first)
        jobs.append(ShardJob(suites, recoloured, shard, size, str(folder / f"views-{shard:09d}-{size}.npz")))
    missing = [job for job in jobs if not Path(job.path).exists()]
    done = count - sum(job.count for job in missing)
    with progress_bar(f"views of {', '.join(suites)}", count, done) as advance:
        for result in run_jobs(render_shard, missing, workers):
            if result.error:
                raise DialError(f"Rendering the shard {result.job.path} failed:\n{result.error}")
            advance(result.job.count)
    return folder


def render_shard(job: ShardJob) -> None:
    """Renders one shard; the file appears complete or not at all."""
    tasks, images, annotations = zip(*random_views(job.suites, job.count, job.seed, job.recoloured), strict=True)
    names = sorted({name for annotation in annotations for name in annotation})
    pixels = np.full((job.count, len(names), 2), np.nan, np.float32)
    for row, annotation in zip(pixels, annotations, strict=True):
        for name, position in annotation.items():
            row[names.index(name)] = position
    save_shard(Path(job.path), Views(np.stack(images), pixels, names, list(tasks)))


def save_shard(path: Path, views: Views) -> None:
    """Writes views to `path` (.npz), atomically."""
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, images=views.images, pixels=views.pixels, names=json.dumps(views.names), tasks=json.dumps(views.tasks))


def load_views(folder: Path) -> Views:
    """Reads all shards of a folder as one `Views` (images stay in memory: 28 kB a view of 96x96)."""
    shards = sorted(folder.glob("*.npz"))
    if not shards:
        raise DialError(f"No view shards (*.npz) in {folder}; `dial pretrain` renders them.")
    parts = []
    for shard in shards:
        with np.load(shard) as file:
            parts.append(Views(file["images"], file["pixels"], *(json.loads(str(file[key])) for key in ("names", "tasks"))))
    names = sorted({name for part in parts for name in part.names})
    pixels = np.full((sum(len(part) for part in parts), len(names), 2), np.nan, np.float32)
    row = 0
    for part in parts:
        pixels[row : row + len(part), [names.index(name) for name in part.names]] = part.pixels
        row += len(part)
    return Views(np.concatenate([part.images for part in parts]), pixels, names, [task for part in parts for task in part.tasks])
