"""Imports of a few jobs, each of which stores an episode of four steps."""

import numpy as np

from dial_core.datasets.episodes import Episode, save_episode
from dial_core.importers.engine import ImportJob, import_jobs, work_folder
from dial_core.importers.job_reports import JobReport
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import load_embodiment

VIEW = CameraView(name="ego", height=16, width=16)


def store_one(job: ImportJob) -> JobReport:
    frames = np.full((4, 16, 16, 3), 10 * job.key, np.uint8)
    vectors = np.full((4, 47), job.key, np.float32)
    save_episode(job.episode(), Episode(frames, vectors, vectors, "put the can", job.key), 20.0)
    return JobReport(job.name, [job.episode().name], source_sizes={"ego": (32, 24)})


def jobs_for(out, count):
    return [ImportJob(f"bag {key}", f"/data/{key}", key, str(work_folder(out)), f"{key:06d}") for key in range(count)]


def run(work, out, count=3, **more):
    return import_jobs(work, jobs_for(out, count), out, load_embodiment(), [VIEW], {"settings": 1}, workers=0, **more)
