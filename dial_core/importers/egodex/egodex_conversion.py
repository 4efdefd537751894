"""`dial convert egodex`: recordings of people -> LeRobot v3 with wrist poses as state, the next state as action, and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dial_core.datasets.episodes import StoredEpisode, store_episode
from dial_core.datasets.video import encode
from dial_core.datasets.video_rows import one_video, video_size
from dial_core.errors import DialError
from dial_core.importers.egodex.human_frames import EYE_IN_BASE_M, FRAMES, Frame, frame_from_world, resting_wrist, wrist_vectors
from dial_core.importers.egodex.recording import RATE_HZ, find_recordings, read_recording
from dial_core.importers.engine import ImportJob, distinct_names, import_jobs, sized, work_folder
from dial_core.importers.job_reports import ImportReport, JobReport
from dial_core.importers.retiming import Retiming, retime
from dial_core.importers.work_files import digest_of_converter, work_stem
from dial_core.observation.camera_view import FITS, Box, CameraView, Fit, fit_view
from dial_core.robot.embodiment import EEF_DIM, Embodiment, load_embodiment

SHORTEST_STEPS = 2
HUMAN = "human"  # the embodiment


@dataclass(frozen=True)
class EgoDexConversion:
    """What is asked of every recording.

    Attributes:
        frame: in which wrist poses are expressed (`human_frames`).
        min_confidence: a wrist pose below it is masked in the loss and held in the state.
        fit: how the 16:9 view, or its `crop`, becomes the model's image.
        image_size: height and width [pixel] of the images; 0: those of the embodiment `human`.
        eye_in_base: where the robot's head camera stands in its base frame [m], for the frame `robot`.
        rate_hz: of the dataset [Hz]; 0: that of the embodiment `human`. RATE_HZ keeps every frame, as the release does.
        crop: the part of the view that is kept (`SeenCamera`).
    """

    frame: Frame = "robot"
    min_confidence: float = 0.5
    fit: Fit = "pad"
    image_size: int = 0
    eye_in_base: tuple[float, float, float] = EYE_IN_BASE_M
    rate_hz: float = 0.0
    crop: Box | None = None

    def body(self) -> Embodiment:
        """The embodiment `human`, with cameras of the wanted size and at the wanted rate."""
        body = sized(load_embodiment(HUMAN), self.image_size)
        return body.model_copy(update={"rate_hz": self.rate_hz or body.rate_hz})

    def view(self) -> CameraView:
        """How frames are stored."""
        camera = self.body().cameras[0]
        return CameraView(name=camera.name, height=camera.height, width=camera.width, crop=self.crop, fit=self.fit)


def convert_egodex(
    sources: Sequence[Path], out: Path, settings: EgoDexConversion, workers: int, skip_crashed: bool = False
) -> ImportReport:
    """Converts all recordings below the sources into one dataset at `out`.

    Raises:
        DialError: a source has no recording, a setting is unknown, or not one recording could be converted.
    """
    for name, value, choices in (("frame", settings.frame, FRAMES), ("fit", settings.fit, FITS)):
        if value not in choices:
            raise DialError(f"{name} is '{value}'; choose one of: {', '.join(choices)}")
    if not 0 <= settings.rate_hz <= RATE_HZ:
        raise DialError(f"rate_hz is {settings.rate_hz:g}; recordings have {RATE_HZ:g} frames a second: choose a rate up to that")
    files = find_recordings(sources)
    names = distinct_names([file.with_suffix("") for file in files], parts=2)
    version = digest_of_converter(__name__)
    jobs = [
        ImportJob(name, str(file), number, str(work_folder(out)), work_stem(file), settings, (file, *_videos(file)), version)
        for number, (name, file) in enumerate(zip(names, files, strict=True))
    ]
    fingerprint = {"sources": [str(source) for source in sources], **asdict(settings)}
    return import_jobs(convert_recording, jobs, out, settings.body(), [settings.view()], fingerprint, workers, skip_crashed=skip_crashed)


def convert_recording(job: ImportJob) -> JobReport:
    """Converts one recording and writes its file."""
    settings: EgoDexConversion = job.settings
    embodiment, view = settings.body(), settings.view()
    recording = read_recording(Path(job.source))
    timing = retime(len(recording), RATE_HZ, embodiment.rate_hz)
    if len(timing) < SHORTEST_STEPS:
        raise DialError(f"only {len(timing)} steps at {embodiment.rate_hz:g} Hz")
    sure = recording.confidence >= settings.min_confidence
    if not sure.any():
        raise DialError(f"no wrist pose reaches confidence {settings.min_confidence:g}")
    first, eye = recording.camera[0], settings.eye_in_base
    rests = (resting_wrist(side, first, eye) for side in ("left", "right"))
    left, right = (held(*wrist) for wrist in zip(recording.wrists, sure.T, rests, strict=True))
    vectors = wrist_vectors(left, right, frame_from_world(first, settings.frame, eye))
    states = timing.vectors(vectors)
    states, actions, mask = with_next_as_action(states, sure_at(timing, sure))
    video = video_beside(Path(job.source))
    seen = one_video(video, len(recording), RATE_HZ)
    frames = (fit_view(frame, view) for frame in seen.frames(timing.frames[: len(states)].tolist()))
    facts = {"source": job.name, "task": recording.task, "frame": settings.frame, "confident": float(sure.mean())}
    coded = encode(frames, embodiment.rate_hz)
    store_episode(job.episode(), StoredEpisode(coded, states, actions, recording.instruction, job.key, facts, action_mask=mask))
    return JobReport(job.name, [job.episode().name], source_sizes={view.name: video_size(video)})


def video_beside(file: Path) -> Path:
    """The recording's mp4, whatever the case of its ending. Raises DialError if there is none."""
    for video in _videos(file):
        if video.is_file():
            return video
    raise DialError(f"{file.stem}.mp4 is missing beside {file.name}")


def _videos(file: Path) -> tuple[Path, ...]:
    return file.with_suffix(".mp4"), file.with_suffix(".MP4")


def held(wrist: np.ndarray, sure: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Poses (F, 4, 4) with those that are not `sure` (F,) replaced by the last sure one, before the first by the first.

    A wrist that is never sure stays at `rest` (4, 4): numbers that disturb no statistics, and the mask keeps them out of the loss.
    """
    if not sure.any():
        return np.tile(rest, (len(wrist), 1, 1))
    rows = np.where(sure, np.arange(len(sure)), -1)
    newest = np.maximum.accumulate(rows)
    return wrist[np.where(newest < 0, int(np.argmax(sure)), newest)]


def sure_at(timing: Retiming, sure: np.ndarray) -> np.ndarray:
    """Whether each wrist is sure at each step (T, 2): on both sides of it, if it lies between two frames."""
    return sure[timing.before] & (sure[timing.after] | (timing.share == 0)[:, None])


def with_next_as_action(states: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, actions (the state one step later) and the actions' mask of T - 1 steps, float32 (T - 1, 18) each.

    An action counts where its wrist is sure now and then.
    """
    mask = np.repeat(sure[:-1] & sure[1:], EEF_DIM // 2, 1)
    return states[:-1].astype(np.float32), states[1:].astype(np.float32), mask.astype(np.float32)
