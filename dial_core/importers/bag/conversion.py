"""`dial convert bag`: recorded demonstrations -> a LeRobot v3 dataset with a report, bag by bag, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from dial_core.bags.layout import METADATA_FILE
from dial_core.bags.reader import Bag
from dial_core.bags.split_recordings import recordings_in
from dial_core.bags.storage import STORAGE_ENDINGS, storage_files
from dial_core.datasets.episodes import StoredEpisode, store_episode
from dial_core.errors import DialError
from dial_core.files.folders import folders_below
from dial_core.importers.bag.bag_report import BagReport, examine, not_used, remarks_on
from dial_core.importers.bag.film import Film, remarks_on_films, require_images, unusable_images
from dial_core.importers.bag.mapping import BagMapping
from dial_core.importers.bag.recorded_scene import scene_of
from dial_core.importers.bag.report_page import write_report
from dial_core.importers.bag.resampling import Resampled, Resampling, resample
from dial_core.importers.bag.timeline import Timeline, read_timeline
from dial_core.importers.bag.topic_streams import TEXTS, Streams, find_streams
from dial_core.importers.engine import ImportJob, distinct_names, import_jobs, work_folder
from dial_core.importers.job_reports import ImportReport, JobReport
from dial_core.importers.work_files import digest_of_converter, work_stem
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import Camera, Embodiment, load_embodiment
from dial_core.robot.kinematics import ForwardKinematics


@dataclass(frozen=True)
class BagConversion:
    """What is asked of every bag.

    Attributes:
        embodiment: name or path; a bag of another robot is refused.
        cameras: of the embodiment's, the first is the one that the model sees; none: all.
        instruction: for bags that carry none.
        failures: whether episodes that the operator called failures are converted too.
        resampling: how they are brought to the control rate.
        mapping: of topics and names that are not our own.
    """

    embodiment: str = "gr1"
    cameras: tuple[str, ...] = ()
    instruction: str = ""
    failures: bool = False
    resampling: Resampling = field(default_factory=Resampling)
    mapping: BagMapping = field(default_factory=BagMapping)

    def fingerprint(self) -> dict:
        """As JSON values, for a conversion that is resumed."""
        return {**asdict(replace(self, mapping=BagMapping())), "mapping": self.mapping.model_dump(mode="json")}


def find_bags(sources: Sequence[Path]) -> list[Path]:
    """All bags among `sources` and below them, in order: folders with storage files, or the files themselves where several stand
    side by side without a metadata.yaml.

    Raises:
        DialError: there is none in one of them.
    """
    bags: list[Path] = []
    for source in sources:
        found = (
            [source]
            if source.is_file() and source.suffix != ".bag"
            else [bag for folder in folders_below(source) for bag in _bags_of(folder)]
        )
        if not found and (source.suffix == ".bag" or any(source.glob("**/*.bag"))):
            raise DialError(
                f"{source} holds ROS 1 bags (.bag), which are not read; `pip install rosbags`, then `rosbags-convert` makes ROS 2 bags"
            )
        if not found:
            raise DialError(f"{source} is no bag and has none below it (no {METADATA_FILE}, no {' or '.join(STORAGE_ENDINGS)} file)")
        bags += found
    return list(dict.fromkeys(bag.absolute() for bag in bags))


def _bags_of(folder: Path) -> list[Path]:
    if not storage_files(folder):
        return [folder] if (folder / METADATA_FILE).is_file() else []
    return [folder] if (folder / METADATA_FILE).is_file() else recordings_in(folder)


def convert_bags(sources: Sequence[Path], out: Path, conversion: BagConversion, workers: int, skip_crashed: bool = False) -> ImportReport:
    """Converts all bags below `sources` into a dataset at `out`, with `report/report.md` in it; what became of each bag.

    Raises:
        DialError: `out` exists, a source holds no bag, or not one bag could be converted.
    """
    embodiment, bags = load_embodiment(conversion.embodiment), find_bags(sources)
    cameras = chosen_cameras(embodiment, conversion.cameras)
    names, version = distinct_names(bags), digest_of_converter(__name__)
    jobs = [
        ImportJob(name, str(bag), number, str(work_folder(out)), work_stem(bag), conversion, made_with=version)
        for number, (name, bag) in enumerate(zip(names, bags, strict=True))
    ]

    def finish(dataset: Path, folder: Path, reports: list[JobReport]) -> None:
        thumbnails = [_thumbnails(folder / name) for report in reports for name in report.episodes]
        write_report(dataset / "report", [BagReport.of(report) for report in reports], thumbnails, embodiment)

    views = [CameraView(name=camera.name, height=camera.height, width=camera.width) for camera in cameras]
    return import_jobs(convert_bag, jobs, out, embodiment, views, conversion.fingerprint(), workers, finish, skip_crashed=skip_crashed)


def chosen_cameras(embodiment: Embodiment, names: Sequence[str]) -> list[Camera]:
    """Cameras by name, the embodiment's first one first. Raises DialError if one is not the embodiment's."""
    chosen = [embodiment.camera(name) for name in names] or embodiment.cameras
    return [embodiment.cameras[0], *(camera for camera in embodiment.cameras[1:] if camera in chosen)]


def convert_bag(job: ImportJob) -> JobReport:
    """Converts one bag: its episodes as files in the job's folder.

    Raises:
        DialError: nothing of it can be used; with the reason.
    """
    conversion, bag = job.settings, Bag(Path(job.source))
    embodiment = load_embodiment(conversion.embodiment)
    recorded_with = bag.facts.get("embodiment", embodiment.name)
    if recorded_with != embodiment.name:
        raise DialError(f"recorded with embodiment '{recorded_with}', the others are '{embodiment.name}'; convert each robot's bags apart")
    if bag.facts.get("outcome") == "failure" and not conversion.failures:
        return JobReport(job.name, reason="the operator called it a failure (--failures takes it in)", excluded=True)
    cameras = chosen_cameras(embodiment, conversion.cameras)
    streams = find_streams(bag, embodiment, cameras, conversion.mapping)
    require_images(bag, streams.images, cameras)
    bad: dict[str, dict[int, str]] = {topic: {} for topic in streams.images}
    for _ in range(2):
        timeline = read_timeline(bag, streams, embodiment, bad)
        resampled = resample(timeline, embodiment, conversion.resampling, conversion.mapping.controllers)
        texts = instructions_of(resampled, timeline, streams, bag, conversion.instruction)
        films = [Film(bag, topic, camera) for topic, camera in zip(streams.images, cameras, strict=True)]
        stored, repeated = _store(job, bag, resampled, texts, films, cameras, embodiment)
        if all(film.complete for film in films):
            break
        for film, camera in zip(films, cameras, strict=True):
            if not film.complete:  # once more without all its unusable images, so that no image stands for another
                bad[film.topic] |= unusable_images(bag, film.topic, camera)
    else:
        raise DialError("images that could be used could not be a second time; is something else writing to it?")
    found = examine(job.source, stored, " / ".join(dict.fromkeys(texts)), bag, streams, timeline, resampled, embodiment, repeated)
    dark = remarks_on_films(films)
    found.warnings += dark
    return JobReport(
        job.name, stored, rejected=not_used(bag, timeline, resampled), remarks=remarks_on(timeline, resampled) + dark, details=asdict(found)
    )


def instructions_of(resampled: Resampled, timeline: Timeline, streams: Streams, bag: Bag, otherwise: str) -> list[str]:
    """The instruction of every piece: what the recorder noted; or, where it changed while recording, what the topic said then.

    Raises:
        DialError: there is none.
    """
    # Of all that was said, not only during the pieces: a part that is too short for one had an instruction of its own all the same.
    said = {text for epoch in timeline.epochs for _, text in epoch.instructions if text}
    noted = bag.facts.get("instruction", "") if len(said) < 2 else ""
    texts = [noted or piece.instruction or otherwise for piece in resampled.pieces]
    if not all(texts):
        strings = [name for name, topic in bag.topics.items() if topic.type == TEXTS[0] and name != streams.instruction]
        hint = f", or name its topic with --mapping: {', '.join(strings)}" if strings else ""
        raise DialError(f"it carries no instruction; give one for such bags: --instruction TEXT{hint}")
    return texts


def _store(
    job: ImportJob,
    bag: Bag,
    resampled: Resampled,
    texts: Sequence[str],
    films: Sequence[Film],
    cameras: Sequence[Camera],
    embodiment: Embodiment,
) -> tuple[list[str], int]:
    """Stores the pieces as episodes; names of their files, and the number of steps with the image of the step before."""
    kinematics = ForwardKinematics(embodiment)
    episodes, repeated = [], 0
    task, seed = scene_of(bag.facts)
    for number, piece in enumerate(resampled.pieces):
        videos = [film.encode(piece, place, embodiment.rate_hz) for place, film in enumerate(films)]
        said = {key: bag.facts.get(key, "") for key in ("outcome", "note", "label")} | ({"task": task} if task else {})
        more = {camera.name: video for camera, video in zip(cameras[1:], videos[1:], strict=True)}
        facts = {"bag": job.name, "piece": number, **said}
        vectors = piece.vectors(kinematics)
        stored = StoredEpisode(videos[0], *vectors, texts[number], job.key if seed is None else seed, facts, more)
        store_episode(job.episode(number), stored)
        np.save(_thumbnails(job.episode(number)), films[0].thumbnails)
        episodes.append(job.episode(number).name)
        repeated += films[0].repeated
    return episodes, repeated


def _thumbnails(episode: Path) -> Path:
    return episode.with_suffix(".thumbnails.npy")
