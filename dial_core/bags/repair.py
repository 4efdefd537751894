"""Completes bags whose recorder was killed, or whose metadata.yaml is lost; touches nothing but their storage files and metadata.yaml."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import METADATA_FILE, BagContents, BagError, FileSpan
from dial_core.bags.live_recording import require_finished, require_untouched, signs_of
from dial_core.bags.opening import open_storage
from dial_core.bags.reader import Bag
from dial_core.bags.split_recordings import recordings_in
from dial_core.bags.storage import storage_files
from dial_core.files.atomic import flush_folder, write_text
from dial_core.files.disk_space import require_free
from dial_core.files.folders import folders_below

_WORK = ".repair"
_DAMAGED = ".damaged"
_NOTE, _REPLACED, _ALL_MOVED = "damage.txt", "replaced.txt", "all-moved"
_SQLITE_LOGS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True)
class Repair:
    """What was done to a bag.

    Attributes:
        messages: in the bag now.
        action: in words, for the console.
        damage: what could not be read; the files that held it are kept with the ending `.damaged`.
    """

    messages: int
    action: str
    damage: tuple[str, ...] = ()


def unfinished_bags(directory: Path) -> list[Path]:
    """Folders below `directory` with storage files that a recorder left behind: without `metadata.yaml`, or in the midst of a repair."""
    return [folder for folder in folders_below(directory) if folder != directory and needs_repair(folder)]


def needs_repair(folder: Path) -> bool:
    """Whether a folder holds an unfinished bag: storage files without `metadata.yaml`, or a repair that was interrupted."""
    return (folder / _WORK).is_dir() or (bool(storage_files(folder)) and not (folder / METADATA_FILE).is_file())


def repair(folder: Path) -> Repair:
    """Completes the bag in `folder` from all messages that can be read, with the same bytes and times.

    A bag that is whole is left alone; one that lacks only its metadata.yaml gets it. Files of others in the folder stay, storage files
    that metadata.yaml does not list among them. The old storage files are replaced only when the new ones are complete; interrupted, the
    same call finishes the repair. A bag whose files were written to in the last seconds is watched before it is touched.

    Raises:
        BagError: there is no bag, it is still being recorded, or not one message can be read.
        DiskFullError: there is no room for a second copy of the messages.
    """
    work = folder / _WORK
    if (work / METADATA_FILE).is_file():
        if not (work / _REPLACED).is_file():  # 0.1.0 kept no list, and took over every storage file
            raise BagError(f"{work} is of an earlier version: move what lies in {work / 'old'} back, remove {work}, and repair again")
        return _take_over(folder)
    shutil.rmtree(work, ignore_errors=True)
    if len(recordings_in(folder)) > 1:
        raise BagError(f"{folder} holds several recordings side by side; put each in a folder of its own, then repair those")
    signs = signs_of(storage_files(folder))
    bag = Bag(folder)
    if bag.whole and bag.described and any(bag.counts.values()):
        return Repair(sum(bag.counts.values()), "whole already, left alone")
    signs = {path: signs[path] for path in bag.files if path in signs}
    require_finished(signs)
    if not any(bag.counts.values()):
        raise BagError(f"{folder}: not one message can be read; move its storage files away")
    if bag.whole and (messages := _describe(bag)) is not None:
        return Repair(messages, "metadata.yaml written")
    require_free(folder, sum(path.stat().st_size for path in bag.files), f"repairing {folder.name}")
    _rewrite(bag, work)
    try:
        require_untouched(signs)
    except BagError:
        shutil.rmtree(work)
        raise
    return _take_over(folder)


def _rewrite(bag: Bag, work: Path) -> None:
    """All readable messages of the bag as a complete one in `work`, and notes of what it replaces; its metadata.yaml comes last."""
    staging = work / _name_for(bag)  # files are named after their folder
    writer = BagWriter(staging, list(bag.all_topics.values()), bag.facts)
    for record in bag.extras():
        writer.copy(record)
    for topic, log_ns, publish_ns, data in bag.records(bag.all_topics):
        writer.write(topic, log_ns, publish_ns, data)
    writer.close({"repaired": "true"})
    flush_folder(staging)
    logs = [path.name + ending for path in bag.files for ending in _SQLITE_LOGS if (bag.folder / (path.name + ending)).is_file()]
    write_text(work / _REPLACED, "\n".join([*(path.name for path in bag.files), *logs]))
    other_types = [f"{name}: {why}" for name, why in bag.foreign.items() if name not in bag.all_topics]
    if damage := [*bag.damage, *other_types]:
        write_text(work / _NOTE, "\n".join(damage))
    for path in sorted(staging.iterdir(), key=lambda path: path.name == METADATA_FILE):
        path.rename(work / path.name)
    staging.rmdir()


def _name_for(bag: Bag) -> str:
    """What the new files are named after: the bag's folder, unless a storage file that was not read has that name."""
    unread = {path.name for path in storage_files(bag.folder)} - {path.name for path in bag.files}
    name = bag.folder.name
    while any(other.startswith(f"{name}_") for other in unread):
        name += "_repaired"
    return name


def _take_over(folder: Path) -> Repair:
    """Puts the complete copy in the work folder in the place of the old files; called again, it resumes where it was interrupted."""
    work, old = folder / _WORK, folder / _WORK / "old"
    damage = tuple((work / _NOTE).read_text(encoding="utf-8").split("\n")) if (work / _NOTE).exists() else ()
    if not (old / _ALL_MOVED).exists():  # until then the folder holds old files only
        old.mkdir(exist_ok=True)
        for name in (work / _REPLACED).read_text(encoding="utf-8").split("\n"):  # nothing else: others were not read
            if (folder / name).exists():
                (folder / name).rename(old / name)
        (old / _ALL_MOVED).touch()
    for path in storage_files(work):
        path.rename(folder / path.name)
    if damage:
        for path in sorted(old.iterdir()):
            if path.name != _ALL_MOVED:
                path.rename(_unused(folder / (path.name + _DAMAGED)))
    (work / METADATA_FILE).rename(folder / METADATA_FILE)
    shutil.rmtree(work)
    return Repair(sum(Bag(folder).counts.values()), "repaired", damage)


def _unused(path: Path) -> Path:
    """`path`, or with a number if an earlier repair has kept a file of that name."""
    number, name = 1, path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name


def _describe(bag: Bag) -> int | None:
    """Writes the metadata.yaml that a bag of complete files lacks; the number of its messages.

    None, and nothing is written, if its messages are compressed or in part damaged: then it is rewritten.
    """
    if any(path.suffix == ".zstd" for path in bag.files):
        return None
    spans = []
    for path in bag.files:
        storage, span = open_storage(path), FileSpan(path)
        for _, log_ns, _, _ in storage.records(storage.topics):
            span.note(log_ns)
        if storage.compressed or storage.damage:
            return None
        spans.append(span)
    counts = {name: bag.counts.get(name, 0) for name in bag.all_topics}
    storage_name = "sqlite3" if bag.files[0].suffix == ".db3" else "mcap"
    BagContents(list(bag.all_topics.values()), counts, spans, bag.facts | {"repaired": "true"}, storage_name).write(bag.folder)
    return sum(counts.values())
