"""`dial convert bag`: recorded demonstrations -> a LeRobot v3 dataset with a report, bag by bag, resumable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dial_core.bags.layout import METADATA_FILE
from dial_core.bags.reader import Bag
from dial_core.bags.storage import STORAGE_ENDINGS, recordings_in, storage_files
from dial_core.datasets.episodes import StoredEpisode, store_episode
from dial_core.datasets.video import encode
from dial_core.errors import DialError
from dial_core.importers.bag.checks import BagReport, examine
from dial_core.importers.bag.report_page import write_report
from dial_core.importers.bag.resampling import Piece, Resampling, resample
from dial_core.importers.bag.timeline import find_streams, read_timeline
from dial_core.importers.engine import ImportJob, ImportReport, JobReport, import_jobs, work_folder
from dial_core.observation.camera_view import CameraView
from dial_core.observation.readings import image_from_message
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
    """

    embodiment: str = "gr1"
    cameras: tuple[str, ...] = ()
    instruction: str = ""
    failures: bool = False
    resampling: Resampling = field(default_factory=Resampling)


def find_bags(sources: Sequence[Path]) -> list[Path]:
    """All bags among `sources` and below them, in order: folders with storage files, or the files themselves where several stand
    side by side without a metadata.yaml.

    Raises:
        DialError: there is none in one of them.
    """
    bags: list[Path] = []
    for source in sources:
        found = [source] if source.is_file() else [bag for folder in _folders(source) for bag in _bags_of(folder)]
        if not found:
            raise DialError(f"{source} is no bag and has none below it (no {METADATA_FILE}, no {' or '.join(STORAGE_ENDINGS)} file)")
        bags += found
    return list(dict.fromkeys(bag.absolute() for bag in bags))


def _folders(source: Path) -> list[Path]:
    if not source.is_dir():
        return []
    below = [folder for folder in source.rglob("*/") if not any(part.startswith(".") for part in folder.relative_to(source).parts)]
    return [source, *sorted(below)]


def _bags_of(folder: Path) -> list[Path]:
    if not storage_files(folder):
        return [folder] if (folder / METADATA_FILE).is_file() else []
    return [folder] if (folder / METADATA_FILE).is_file() else recordings_in(folder)


def convert_bags(sources: Sequence[Path], out: Path, conversion: BagConversion, workers: int) -> ImportReport:
    """Converts all bags below `sources` into a dataset at `out`, with `report/report.md` in it; what became of each bag.

    Raises:
        DialError: `out` exists, a source holds no bag, or not one bag could be converted.
    """
    embodiment, bags = load_embodiment(conversion.embodiment), find_bags(sources)
    cameras = chosen_cameras(embodiment, conversion.cameras)
    jobs = [ImportJob(bag.name, str(bag), number, str(work_folder(out)), _key(str(bag)), conversion) for number, bag in enumerate(bags)]

    def finish(folder: Path, reports: list[JobReport]) -> None:
        thumbnails = [_thumbnails(folder / name) for report in reports for name in report.episodes]
        write_report(out / "report", [BagReport.of(report) for report in reports], thumbnails, embodiment)

    views = [CameraView(name=camera.name, height=camera.height, width=camera.width) for camera in cameras]
    return import_jobs(convert_bag, jobs, out, embodiment, views, asdict(conversion), workers, finish)


def chosen_cameras(embodiment: Embodiment, names: Sequence[str]) -> list[Camera]:
    """Cameras by name, the embodiment's first one first. Raises DialError if one is not the embodiment's."""
    known = {camera.name: camera for camera in embodiment.cameras}
    if unknown := [name for name in names if name not in known]:
        raise DialError(f"embodiment '{embodiment.name}' has no camera '{unknown[0]}'; cameras: {', '.join(known)}")
    first = embodiment.cameras[0]
    return [first, *(camera for name, camera in known.items() if camera is not first and name in (names or known))]


def convert_bag(job: ImportJob) -> JobReport:
    """Converts one bag: its episodes as files in the job's folder."""
    conversion, bag = job.settings, Bag(Path(job.source))
    embodiment = load_embodiment(conversion.embodiment)
    recorded_with = bag.facts.get("embodiment", embodiment.name)
    if recorded_with != embodiment.name:
        raise DialError(f"recorded with embodiment '{recorded_with}', the others are '{embodiment.name}'; convert each robot's bags apart")
    if bag.facts.get("outcome") == "failure" and not conversion.failures:
        return JobReport(job.name, reason="the operator called it a failure (--failures takes it in)", excluded=True)
    cameras = chosen_cameras(embodiment, conversion.cameras)
    streams = find_streams(bag, embodiment, cameras)
    timeline = read_timeline(bag, streams, embodiment)
    instruction = bag.facts.get("instruction") or timeline.instruction or conversion.instruction
    if not instruction:
        raise DialError("it carries no instruction; give one for such bags: --instruction TEXT")
    resampled = resample(timeline, embodiment, conversion.resampling)
    kinematics = ForwardKinematics(embodiment)
    episodes, repeated = [], 0
    films = [Film(bag, topic, camera) for topic, camera in zip(streams.images, cameras, strict=True)]
    for number, piece in enumerate(resampled.pieces):
        videos = [film.encode(piece, place, embodiment.rate_hz) for place, film in enumerate(films)]
        said = {key: bag.facts.get(key, "") for key in ("outcome", "note", "label")}
        more = {camera.name: video for camera, video in zip(cameras[1:], videos[1:], strict=True)}
        facts = {"bag": job.name, "piece": number, **said}
        stored = StoredEpisode(videos[0], *piece.vectors(kinematics), instruction, job.key, facts, more)
        store_episode(job.episode(number), stored)
        np.save(_thumbnails(job.episode(number)), films[0].thumbnails)
        episodes.append(job.episode(number).name)
        repeated += films[0].repeated
    found = examine(job.source, episodes, instruction, bag, streams, timeline, resampled, embodiment, repeated)
    return JobReport(job.name, episodes, rejected=[f"damaged: {text}" for text in bag.damage], details=asdict(found))


class Film:
    """One camera's pictures of a bag, decoded in order and only where a step needs them.

    Attributes:
        thumbnails: the last piece's first, middle and last picture, (3, H, W, 3) uint8.
        repeated: steps of the last piece whose picture is, bit by bit, the one of the message before.
    """

    def __init__(self, bag: Bag, topic: str, camera: Camera) -> None:
        self._bag, self._topic, self._size = bag, topic, (camera.height, camera.width)
        self._messages = enumerate(bag.messages([topic]))
        self._number, self.repeated = -1, 0
        self._pixels: np.ndarray = np.empty(0)
        self.thumbnails: np.ndarray = np.empty(0)

    def encode(self, piece: Piece, place: int, rate_hz: float) -> bytes:
        """The piece's pictures as an mp4; `place`: of this camera in `piece.frames`. Pieces are taken in order."""
        return encode(self._pictures([frames[place] for frames in piece.frames]), rate_hz)

    def _pictures(self, numbers: list[int]) -> Iterator[np.ndarray]:
        shown, self.repeated = [], 0
        for step, number in enumerate(numbers):
            if number != self._number:
                before = self._pixels
                self.repeated += int(np.array_equal(before, self.picture(number)))
            if step in (0, len(numbers) // 2, len(numbers) - 1):
                shown.append(self._pixels.copy())
            yield self._pixels
        self.thumbnails = np.stack(shown)

    def picture(self, number: int) -> np.ndarray:
        """The picture of message `number`, not before one asked for earlier: (H, W, 3) uint8."""
        if number == self._number:
            return self._pixels
        for at, (_, _, data) in self._messages:
            if at == number:
                self._number, self._pixels = at, image_from_message(self._bag.decode(self._topic, data), self._size)
                return self._pixels
        raise DialError(f"picture {number} of {self._topic} was there and is gone; did the bag change meanwhile?")


def _key(bag: str) -> str:
    """A file name for a bag: its own, and a hash of where it lies, as two may have the same."""
    return f"{Path(bag).name}-{hashlib.sha256(bag.encode()).hexdigest()[:6]}"


def _thumbnails(episode: Path) -> Path:
    return episode.with_suffix(".thumbnails.npy")
