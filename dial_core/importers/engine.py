"""The engine of all imports: job after job over processes, resumable, with a report, packed into one dataset.

A job is what can fail alone: a bag, an episode, a recording. It stores its episodes in `<out>.episodes/` and, when they are
complete, its report beside them; an import that is run again takes up what has a report and repeats the rest. Data that cannot
be used are left out; what is no fault of the data (a worker that was killed, a disk that failed) leaves the import unfinished.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dial_core.datasets.dataset_writer import write_dataset
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder, write_json
from dial_core.files.disk_space import DiskFullError, disk_errors, require_free, with_rest
from dial_core.files.fingerprint import require_same
from dial_core.files.folder_lock import folder_lock
from dial_core.files.refused_paths import refused_path
from dial_core.files.transient import is_transient
from dial_core.importers.job_reports import ImportReport, JobReport
from dial_core.importers.reasons import reasons_in_lines
from dial_core.importers.work_files import remove_stale, require_fingerprint, state_of
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs
from dial_core.observation.camera_view import CameraView, StoredView
from dial_core.robot.embodiment import Embodiment


@dataclass(frozen=True)
class ImportJob:
    """One thing to import.

    Attributes:
        name: in reports.
        source: folder or file that it comes from.
        key: which one of the source.
        folder: where episodes and report go.
        stem: of their file names, unique in the folder and of nothing but what they are made from (`work_stem`): which other jobs there are
            may change until an interrupted import is resumed.
        settings: of the import, plain values.
        read: files or folders whose change, by sizes and times of their files, makes finished work worthless; empty: `source`.
        made_with: what else does so when it differs, as text: the converter's code (`digest_of_converter`), metadata of the episode.
    """

    name: str
    source: str
    key: int
    folder: str
    stem: str
    settings: Any = None
    read: tuple[Path, ...] = ()
    made_with: str = ""

    def episode(self, piece: int = 0) -> Path:
        """File of the job's episode number `piece`."""
        return Path(self.folder) / f"{self.stem}-{piece:02d}.npz"

    @property
    def report(self) -> Path:
        """File of the job's report; where it is, all episodes are complete."""
        return Path(self.folder) / f"{self.stem}.json"

    def state(self) -> str:
        """Digest of all that its episodes are made from, as it is now."""
        return state_of(self.read or (Path(self.source),), self.made_with)


Work = Callable[[ImportJob], JobReport]
Finish = Callable[[Path, Path, list[JobReport]], None]


def work_folder(out: Path) -> Path:
    """Where the jobs of an import into `out` leave their episodes until the dataset is written."""
    return out.with_name(f"{out.name}.episodes")


def import_jobs(
    work: Work,
    jobs: Sequence[ImportJob],
    out: Path,
    robot: Embodiment,
    views: Sequence[CameraView],
    fingerprint: dict,
    workers: int,
    finish: Finish = lambda dataset, folder, reports: None,
    lost: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    skip_crashed: bool = False,
) -> ImportReport:
    """Runs all jobs and packs their episodes into a dataset at `out`, with `meta/conversion.json`; it appears complete or not at all.

    A job whose data cannot be used is reported with its reason and does not stop the others. Interrupted, or stopped by a full disk, the
    same call resumes.

    Args:
        work: importable by name; stores the job's episodes, or raises DialError with the reason.
        jobs: in the order of the dataset.
        views: how the stored frames were fitted, the first camera first.
        fingerprint: settings that an interrupted import must share with this one.
        finish: adds to the dataset before it appears; called with the folder where it is written, the work folder and all reports.
        lost: reason by name of what the sources once held and no job can read.
        defaults: settings of the fingerprint that an import begun by an earlier version does not name.
        skip_crashed: pack without the jobs that ended otherwise than by a DialError or with their episodes.

    Raises:
        DialError: `out` exists, its work folder is not an import's or another import works there, not one episode could be imported, a job
            crashed (the same call resumes), or the disk is full.
    """
    with _working_alone(out) as folder:
        described = {"embodiment_description": hashlib.sha256(robot.model_dump_json().encode()).hexdigest()[:12]}
        require_same(folder, fingerprint | described, defaults={**described, **(defaults or {})})
        reports, crashed = _run(work, jobs, workers)
        if crashed and not skip_crashed:
            raise DialError(
                f"{len(crashed)} of {len(jobs)} ended by no fault of their data, as far as is known:\n"
                f"{reasons_in_lines((report.name, report.reason) for report in crashed)}\n"
                "Run the same command again: it resumes where it stopped. If that happens again, --skip-crashed packs the others alone"
            )
        result = ImportReport((*reports, *(JobReport(name, reason=reason) for name, reason in (lost or {}).items())))
        if not result.episodes:
            shutil.rmtree(folder)  # nothing to resume: the next call may have other settings
            raise DialError("not one episode could be converted:\n" + reasons_in_lines((job.name, job.reason) for job in result.jobs))
        _pack(result, folder, out, robot, views, fingerprint, finish)
        shutil.rmtree(folder)
    return result


@contextmanager
def _working_alone(out: Path) -> Iterator[Path]:
    """Yields the work folder of an import into `out`, in which no other one works."""
    _require_new(out)
    folder = work_folder(out)
    require_fingerprint(folder)
    with folder_lock(folder, "dial convert", ".lock"):
        try:
            _require_new(out)
        except DialError:  # another import ended between the two
            shutil.rmtree(folder)
            raise
        yield folder


def _require_new(out: Path) -> None:
    if out.exists():
        raise DialError(f"{out} exists already; choose another folder, or delete it to convert again")


def _pack(
    result: ImportReport, folder: Path, out: Path, robot: Embodiment, views: Sequence[CameraView], fingerprint: dict, finish: Finish
) -> None:
    """Makes the dataset of the episodes in the work folder."""
    paths = [folder / name for report in result.jobs for name in report.episodes]
    require_free(out.parent, sum(path.stat().st_size for path in paths), f"packing {len(paths)} episodes into {out.name}")
    shapes = {view.name: (view.height, view.width) for view in views}
    first = views[0].name
    note = {
        **fingerprint,
        "converted": result.converted,
        "left_out": result.left_out,
        "rejected": result.rejected,
        "remarks": result.remarks,
    }
    with disk_errors(out.parent, f"the dataset {out.name}"), atomic_folder(out) as dataset:
        write_dataset(dataset, paths, robot, shapes.pop(first), shapes, _stored_views(views, result.jobs))
        write_json(dataset / "meta/conversion.json", note)
        finish(dataset, folder, list(result.jobs))


def distinct_names(paths: Sequence[Path], parts: int = 1) -> list[str]:
    """A name for each path: its last `parts` parts, more of them where several paths share those; bytes that are no UTF-8 as escapes."""
    names = ["/".join(path.parts[-parts:]).encode("utf-8", "backslashreplace").decode() for path in paths]
    shared = {name for name, count in Counter(names).items() if count > 1}
    if not shared or parts >= max(len(path.parts) for path in paths):
        return names
    longer = distinct_names(paths, parts + 1)
    return [more if name in shared else name for name, more in zip(names, longer, strict=True)]


def sized(embodiment: Embodiment, image_size: int) -> Embodiment:
    """The embodiment with cameras of `image_size` x `image_size` [px]; 0 leaves them as they are."""
    if not image_size:
        return embodiment
    cameras = tuple(camera.model_copy(update={"height": image_size, "width": image_size}) for camera in embodiment.cameras)
    return embodiment.model_copy(update={"cameras": cameras})


def _run(work: Work, jobs: Sequence[ImportJob], workers: int) -> tuple[list[JobReport], list[JobReport]]:
    """The reports of all jobs, those of an earlier call included, and those among them whose jobs crashed."""
    _require_own_files(jobs)
    done = {job.stem: report for job in jobs if (report := _finished(job)) is not None}
    for folder in {job.folder for job in jobs}:
        remove_stale(Path(folder), [job.report for job in jobs if job.stem not in done])
    crashed: list[JobReport] = []
    failed = 0  # none of those that are done
    try:
        with progress_bar("convert", len(jobs), len(done)) as advance:
            for result in run_jobs(partial(_attempt, work), [job for job in jobs if job.stem not in done], workers):
                report = result.value if not result.error else JobReport(result.job.name, reason=f"the importer failed: {result.reason}")
                done[result.job.stem] = report
                crashed += [report] if result.error else []
                failed += not report.episodes and not report.excluded
                advance(1, f"{failed} of {len(done)} could not be converted")
    except DiskFullError as error:
        written = [Path(job.folder) / name for job in jobs if job.stem in done for name in done[job.stem].episodes]
        raise with_rest(error, written, len(jobs) - len(done), "jobs") from error
    return [done[job.stem] for job in jobs], crashed


def _require_own_files(jobs: Sequence[ImportJob]) -> None:
    first: dict[str, ImportJob] = {}
    for job in jobs:
        if (other := first.setdefault(job.stem, job)) is not job:
            raise DialError(f"{other.name} and {job.name} would share their files in {job.folder}; convert them apart, then merge them")


def _finished(job: ImportJob) -> JobReport | None:
    """What an earlier call reported of the job; None where it did not, of another source or state, or where an episode is gone."""
    report = JobReport.load(job.report) if job.report.exists() else None
    if report is None or (report.source, report.state) != (job.source, job.state()):
        return None
    return report if all((Path(job.folder) / name).is_file() for name in report.episodes) else None


def _attempt(work: Work, job: ImportJob) -> JobReport:
    """The job's report, with the reason if it could not be imported.

    Raises:
        DiskFullError: which is no fault of the job's.
        Exception: what is, as far as is known, no fault of its data.
    """
    try:
        with disk_errors(Path(job.folder), f"the episodes of {job.name}"):
            state = job.state()  # before the work: what changes meanwhile is not what was read
            report = replace(work(job), source=job.source, state=state)
            report.save(job.report)
            return report
    except DiskFullError:
        raise
    except DialError as error:
        if is_transient(error):
            raise
        return JobReport(job.name, reason=str(error).replace(f"{job.source}: ", ""))
    except OSError as error:
        if (refused := refused_path(error)) is None:
            raise
        return JobReport(job.name, reason=refused)


def _stored_views(views: Sequence[CameraView], reports: Sequence[JobReport]) -> dict[str, StoredView]:
    """Of the cameras whose frames were not stored as they came."""
    stored = {}
    for view in views:
        sizes = sorted(
            {
                (report.source_sizes[view.name][0], report.source_sizes[view.name][1])
                for report in reports
                if view.name in report.source_sizes
            }
        )
        if sizes and (sizes != [(view.height, view.width)] or view.crop is not None):
            stored[view.name] = StoredView(**view.model_dump(), source_sizes=tuple(sizes))
    return stored
