"""Merging and splitting datasets episode by episode, without encoding a frame again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dial_core.datasets.dataset_writer import write_episodes
from dial_core.datasets.episodes import StoredEpisode
from dial_core.datasets.lerobot import ACTION_MASK, EpisodeSpan, LeRobotDataset
from dial_core.datasets.lerobot_meta import vector_names
from dial_core.datasets.stored_views import read_stored_views
from dial_core.datasets.video_check import coded_as_ours, coding_faults, own_video
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder
from dial_core.files.disk_space import keeping_nothing, require_free
from dial_core.jobs.progress import progress_bar
from dial_core.robot.embodiment import Embodiment, load_embodiment

Shape = tuple[int, int]


def merge_datasets(folders: Sequence[Path], out: Path) -> Path:
    """One dataset at `out` with the episodes of all `folders`, in order; each keeps its origin in its facts.

    Raises:
        DialError: `out` exists, or the datasets differ in robot, rate, vectors or cameras; the message names both and what.
        DiskFullError: there is no room for a copy of them.
    """
    _require_absent(out)
    sources = [open_ours(folder) for folder in folders]
    for source in sources[1:]:
        _require_alike(sources[0], source)
    chosen = [(source, episode) for source in sources for episode in source.episodes]
    with keeping_nothing():
        require_free(out.parent, sum(_bytes_of(source.episodes) for source in sources), f"merging {len(sources)} datasets into {out.name}")
        write_chosen(chosen, out)
    return out


def split_dataset(folder: Path, out: Path, shares: Mapping[str, float], seed: int = 0, without: Collection[int] = ()) -> dict[str, int]:
    """Splits the episodes of a dataset at random by `seed` into datasets `out/<name>` by `shares`; returns the episodes of each.

    Shares are relative to each other; every part gets at least one episode. Episodes whose index is in `without` are left out. All parts
    appear together, complete or not at all.

    Raises:
        DialError: `out` exists, shares that are not positive, or fewer episodes than parts.
        DiskFullError: there is no room for a copy of the dataset.
    """
    _require_absent(out)
    source = open_ours(folder)
    if any(not value > 0 for value in shares.values()) or not shares:
        raise DialError(f"shares must be positive, got {dict(shares)}; e.g. train=0.9 held_out=0.1")
    if unknown := sorted(set(without) - {episode.index for episode in source.episodes}):
        raise DialError(f"{folder} has no episode {', '.join(str(index) for index in unknown)}; it has 0 to {len(source.episodes) - 1}")
    kept = [episode for episode in source.episodes if episode.index not in without]
    if len(kept) < len(shares):
        raise DialError(f"{folder} has {len(kept)} episodes left, too few for {len(shares)} parts")
    order = np.random.default_rng(seed).permutation(len(kept))
    counts = _counts(list(shares.values()), len(order))
    with keeping_nothing():
        require_free(out.parent, _bytes_of(kept), f"splitting {folder.name} into {out.name}")
        with atomic_folder(out) as staging:
            for name, rows in zip(shares, np.split(order, np.cumsum(counts)[:-1]), strict=True):
                write_chosen([(source, kept[row]) for row in sorted(rows)], staging / name)
    return dict(zip(shares, counts, strict=True))


def write_chosen(chosen: Sequence[tuple[LeRobotDataset, EpisodeSpan]], out: Path) -> None:
    """A dataset at `out` of chosen episodes of datasets that are alike; it appears complete or not at all."""
    first = chosen[0][0]
    robot, shapes = embodiment_of(first), camera_shapes(first)
    head = robot.cameras[0].name
    masked = any(ACTION_MASK in source.features for source, _ in chosen)
    with progress_bar(f"write {out.name}", len(chosen), 0) as advance:
        episodes = _each(chosen, advance)
        write_episodes(out, episodes, robot, {head: shapes.pop(head), **shapes}, masked, read_stored_views(first.folder))


def _bytes_of(episodes: Sequence[EpisodeSpan]) -> int:
    """Size of the files that hold the episodes, which share them [byte]; one that is missing is named where it is read."""
    files = {path for episode in episodes for path in (episode.table, *(video.path for video in episode.videos.values()))}
    return sum(path.stat().st_size for path in files if path.is_file())


def _each(chosen: Sequence[tuple[LeRobotDataset, EpisodeSpan]], advance: Callable[[int], None]) -> Iterator[StoredEpisode]:
    for source, episode in chosen:
        yield stored(source, episode)
        advance(1)


def stored(source: LeRobotDataset, episode: EpisodeSpan) -> StoredEpisode:
    """An episode of one of our datasets, with its videos cut out of the files. Raises DialError as `own_video`."""
    columns = source.columns(episode)
    videos = {name: own_video(source, episode, name) for name in episode.videos}
    return StoredEpisode(
        video=videos.pop(embodiment_of(source).cameras[0].name),
        states=np.ascontiguousarray(columns["observation.state"], np.float32),
        actions=np.ascontiguousarray(columns["action"], np.float32),
        instruction=source.instruction(episode, columns),
        seed=episode.seed,
        facts={"from": source.folder.name, **episode.facts},
        more_videos=videos,
        action_mask=columns.get(ACTION_MASK),
    )


def open_ours(folder: Path) -> LeRobotDataset:
    """A dataset in our own layout.

    Raises:
        DialError: another program wrote it or its videos, or episodes are missing in its list; the message says how to convert it.
    """
    source = LeRobotDataset(folder)
    if source.version != "v3.0" or any(not coded_as_ours(source.features[key]) for key in source.video_keys.values()):
        raise DialError(
            f"{folder} was not written by this package (version {source.version}); bring it in with `dial convert lerobot` first"
        )
    if len(source.episodes) != source.info.get("total_episodes", len(source.episodes)):
        raise DialError(
            f"{folder}/meta/episodes lists {len(source.episodes)} episodes, info.json says {source.info['total_episodes']}; "
            "copy the dataset again, or bring in what is there with `dial convert lerobot`"
        )
    if fault := next(coding_faults(source), ""):
        raise DialError(f"{folder}/{fault}; bring it in with `dial convert lerobot` first")
    embodiment_of(source)
    return source


def embodiment_of(source: LeRobotDataset) -> Embodiment:
    """The robot that the dataset names, checked against its vectors' names.

    Raises:
        DialError: the configuration has no such robot, or it has other dimensions now.
    """
    robot = load_embodiment(str(source.info.get("robot_type")))
    names = state_names(source)
    if names != vector_names(robot):
        changed = sorted(set(names) ^ set(vector_names(robot)))
        raise DialError(
            f"{source.folder} is of '{robot.name}' but the names of its dimensions differ from the embodiment's: "
            f"{', '.join(changed[:6]) or 'another order'}; convert it with `dial convert lerobot`"
        )
    return robot


def camera_shapes(source: LeRobotDataset) -> dict[str, Shape]:
    """(height, width) [px] of each camera by name."""
    return {name: source.features[key].height_width for name, key in source.video_keys.items()}


def state_names(source: LeRobotDataset) -> list[str]:
    """Names of the state's dimensions, empty if the dataset has none."""
    return list(source.features["observation.state"].flat_names) if "observation.state" in source.features else []


def _require_alike(first: LeRobotDataset, other: LeRobotDataset) -> None:
    pairs = {
        "robot": (first.info.get("robot_type"), other.info.get("robot_type")),
        "rate [Hz]": (first.rate_hz, other.rate_hz),
        "dimensions": (state_names(first), state_names(other)),
        "cameras": (camera_shapes(first), camera_shapes(other)),
        "views of the cameras": (read_stored_views(first.folder), read_stored_views(other.folder)),
    }
    differences = [f"{what}: {a} and {b}" for what, (a, b) in pairs.items() if a != b]
    if differences:
        raise DialError(
            f"{first.folder} and {other.folder} cannot be one dataset. {'; '.join(differences)}. "
            "Train on both with one source each in the recipe (docs/training.md)"
        )


def _counts(shares: list[float], total: int) -> list[int]:
    """Whole numbers by shares that sum to `total`, at least one each."""
    exact = np.array(shares) / sum(shares) * total
    counts = np.maximum(np.floor(exact), 1).astype(int)
    while counts.sum() < total:
        counts[np.argmax(exact - counts)] += 1
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > 1, counts - exact, -np.inf))] -= 1
    return counts.tolist()


def _require_absent(out: Path) -> None:
    if out.exists():
        raise DialError(f"{out} exists already; choose another folder, or delete it")
