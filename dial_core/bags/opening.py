"""Opens a storage file of any format."""

from __future__ import annotations

from pathlib import Path

from dial_core.bags.compression import decompressed
from dial_core.bags.mcap_storage import McapStorage
from dial_core.bags.sqlite_storage import SqliteStorage
from dial_core.bags.storage import Storage


def open_storage(path: Path) -> Storage:
    """Returns the reader for a storage file, chosen by its suffix; a file compressed as a whole is decompressed first.

    Raises:
        BagError: it is not a storage file, or nothing in it can be read.
        DiskFullError: the temporary folder has no room for what a compressed file holds.
    """
    temporary = None
    if path.name.endswith(".zstd"):
        temporary, path = decompressed(path)
    return SqliteStorage(path, temporary) if path.suffix == ".db3" else McapStorage(path, temporary)
