"""What became of the jobs of an import."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dial_core.files.atomic import write_json

Size = tuple[int, int]  # height and width [px]


@dataclass
class JobReport:
    """What became of one job.

    Attributes:
        episodes: file names of its episodes; without any, `reason` says why.
        excluded: it was left out on purpose (an operator's failure), not because it could not be read.
        rejected: what of it was not used though it gave episodes, a sentence each.
        remarks: what a user should know of how it was understood, a sentence each.
        source_sizes: of the images that its frames were made from, by camera.
        details: the importer's own findings, JSON values.
        source, state: of the job, by which a resumed import recognises finished work; empty in reports of earlier versions.
    """

    name: str
    episodes: list[str] = field(default_factory=list)
    reason: str = ""
    excluded: bool = False
    rejected: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    source_sizes: dict[str, Size] = field(default_factory=dict)
    details: dict = field(default_factory=dict)
    source: str = ""
    state: str = ""

    def save(self, path: Path) -> None:
        """Writes it to `path`, complete or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> JobReport:
        """Reads what `save` wrote."""
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True)
class ImportReport:
    """What became of all jobs, in their order."""

    jobs: tuple[JobReport, ...]

    @property
    def episodes(self) -> int:
        """Number of episodes in the dataset."""
        return sum(len(job.episodes) for job in self.jobs)

    @property
    def converted(self) -> int:
        """Number of jobs that gave an episode."""
        return sum(bool(job.episodes) for job in self.jobs)

    @property
    def left_out(self) -> dict[str, str]:
        """Reason by name of the jobs that gave nothing."""
        return {job.name: job.reason for job in self.jobs if not job.episodes}

    @property
    def failed(self) -> int:
        """Number of jobs that gave nothing, though nobody wanted them left out."""
        return sum(not job.episodes and not job.excluded for job in self.jobs)

    @property
    def rejected(self) -> dict[str, list[str]]:
        """What was not used of the jobs that gave episodes, by name."""
        return {job.name: job.rejected for job in self.jobs if job.episodes and job.rejected}

    @property
    def remarks(self) -> dict[str, list[str]]:
        """What is worth knowing of the jobs that gave episodes, by name."""
        return {job.name: job.remarks for job in self.jobs if job.episodes and job.remarks}
