"""What all conversions do: episode after episode over processes, what fails is named and left out, interrupted work goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dial_core.datasets.lerobot import write_dataset
from dial_core.errors import DialError
from dial_core.files.fingerprint import require_same
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs
from dial_core.robot.embodiment import Embodiment


@dataclass(frozen=True)
class EpisodeJob:
    """One episode to convert into `file`.

    Attributes:
        source: folder or file that it comes from.
        key: which one of the source.
        settings: of the conversion, plain values.
    """

    name: str
    source: str
    key: int
    file: str
    settings: Any = None


@dataclass
class ConversionReport:
    """How many episodes were converted, and why the others were not: reason by episode name."""

    converted: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


def convert_episodes(
    work: Callable[[EpisodeJob], None],
    jobs: Sequence[EpisodeJob],
    out: Path,
    embodiment: Embodiment,
    fingerprint: dict,
    workers: int,
    title: str,
) -> ConversionReport:
    """Converts all jobs into a dataset at `out`, with `meta/conversion.json`; episodes that fail are reported, not fatal.

    Args:
        work: importable by name; writes the job's file or raises DialError with the reason.
        jobs: in the order of the dataset; their files lie in `<out>.episodes/` (`episode_file`).
        fingerprint: settings that an interrupted conversion must have in common with this one.

    Raises:
        DialError: `out` exists, or not one episode could be converted.
    """
    if out.exists():
        raise DialError(f"{out} exists already; choose another folder, or delete it to convert anew.")
    folder = _work_folder(out)
    require_same(folder, fingerprint)
    report = ConversionReport()
    todo = [job for job in jobs if not Path(job.file).exists()]
    with progress_bar(title, len(jobs), len(jobs) - len(todo)) as advance:
        for result in run_jobs(work, todo, workers):
            if result.error:
                report.left_out[result.job.name] = _reason(result.error)
            advance(1, f"{len(report.left_out)} left out")
    paths = [Path(job.file) for job in jobs if Path(job.file).exists()]
    if not paths:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in list(report.left_out.items())[:10])
        raise DialError(f"not one episode could be converted:\n{reasons}")
    camera = embodiment.cameras[0]
    write_dataset(out, paths, embodiment, (camera.height, camera.width))
    report.converted = len(paths)
    (out / "meta/conversion.json").write_text(
        json.dumps({**fingerprint, "converted": report.converted, "left_out": report.left_out}, indent=2) + "\n"
    )
    shutil.rmtree(folder)
    return report


def episode_file(out: Path, number: int) -> str:
    """Where episode `number` of a conversion into `out` lies until the dataset is written."""
    return str(_work_folder(out) / f"{number:06d}.npz")


def require_finite_episode(states: np.ndarray, actions: np.ndarray, names: Sequence[str]) -> None:
    """
    Raises:
        DialError: a state or an action (T, D) is NaN or infinite; the message names its frame and dimension.
    """
    for what, values in {"state": states, "action": actions}.items():
        broken = ~np.isfinite(values)
        if broken.any():
            frame, dimension = np.argwhere(broken)[0]
            name = names[dimension] if dimension < len(names) else str(dimension)
            raise DialError(f"{int(broken.sum())} values of the {what} are not finite, first in frame {frame}, '{name}'")


def sized(embodiment: Embodiment, image_size: int) -> Embodiment:
    """The embodiment with cameras of `image_size` x `image_size` [pixel]; 0 leaves them as they are."""
    if not image_size:
        return embodiment
    cameras = tuple(camera.model_copy(update={"height": image_size, "width": image_size}) for camera in embodiment.cameras)
    return embodiment.model_copy(update={"cameras": cameras})


def _work_folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.episodes")


def _reason(error: str) -> str:
    """The last line of a traceback, without the class of our own errors."""
    last = error.strip().splitlines()[-1]
    return last.removeprefix("dial_core.errors.DialError: ") if "DialError" in last else f"crashed: {last}"
