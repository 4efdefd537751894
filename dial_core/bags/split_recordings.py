"""Which storage files in a folder without metadata.yaml are parts of one split recording, and which are recordings of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from dial_core.bags.layout import BagError
from dial_core.bags.opening import open_storage
from dial_core.bags.storage import name_of_recording, storage_files
from dial_core.files.transient import is_transient

SPLIT_GAP_NS = 1_000_000_000  # a recorder continues in the next file at once; an operator takes longer for the next demonstration


def recordings_in(folder: Path) -> list[Path]:
    """Returns the recordings that a folder without metadata.yaml holds: itself, if its files are the parts of one; or else each file.

    rosbag2 names the parts of a split recording `<name>_0`, `<name>_1`, ...; people name their demonstrations so too. They are parts if
    each one begins, by its log times, where the one before ended. What cannot be read says nothing of its neighbours.

    Raises:
        BagError: the disk or the network failed.
        DiskFullError: there is no room to decompress a file.
    """
    files = storage_files(folder)
    one_name = len({name_of_recording(file) for file in files}) < 2
    return [folder] if one_name and _follow_one_another(files) else files


def _follow_one_another(files: Sequence[Path]) -> bool:
    pairs = pairwise(_spans(files))
    return all(earlier is None or later is None or abs(later[0] - earlier[1]) <= SPLIT_GAP_NS for earlier, later in pairs)


def _spans(files: Sequence[Path]) -> Iterator[tuple[int, int] | None]:
    """First and last log time [ns] of each of several files that hold messages; None of one that cannot be read, whatever it held."""
    for file in files if len(files) > 1 else ():
        facts = file.stat()
        span = _span(file, facts.st_size, facts.st_mtime_ns)
        if span is None or any(span):
            yield span


@lru_cache(maxsize=4096)
def _span(file: Path, size: int, changed_ns: int) -> tuple[int, int] | None:
    try:
        return open_storage(file).span
    except BagError as error:
        if is_transient(error):  # readable the next time, perhaps: until then nothing is known of the folder
            raise
        return None
