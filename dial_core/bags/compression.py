"""zstd, as rosbag2 compresses: whole files (`x.mcap.zstd`) or message by message."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path

import zstandard

from dial_core.bags.layout import BagError
from dial_core.files.disk_space import disk_errors

_MAGIC = b"\x28\xb5\x2f\xfd"
_MOST_BYTES = 2**31

_files: dict[tuple[str, int, int], tuple[tempfile.TemporaryDirectory, Path]] = {}


def decompressed(path: Path) -> Path:
    """A temporary file with what a compressed file holds; it goes when this process ends.

    Raises:
        BagError: it cannot be decompressed.
        DiskFullError: the disk of the temporary folder (`TMPDIR`) is full.
    """
    stat = path.stat()
    key = (str(path.absolute()), stat.st_size, stat.st_mtime_ns)
    if key in _files:
        return _files[key][1]
    folder = tempfile.TemporaryDirectory(prefix="dial-bag-")
    weakref.finalize(folder, folder.cleanup)
    target = Path(folder.name) / path.name.removesuffix(".zstd")
    with disk_errors(target.parent, f"{path.name}, decompressed (TMPDIR names another folder)"):
        try:
            with path.open("rb") as source, target.open("wb") as sink:
                zstandard.ZstdDecompressor().copy_stream(source, sink)
        except zstandard.ZstdError as error:
            raise BagError(f"{path} cannot be decompressed: {error}; restore the file") from error
    _files[key] = folder, target
    return target


def decompressed_message(data: bytes) -> bytes:
    """A message's CDR bytes, whether or not they were compressed. Raises BagError if they cannot be decompressed."""
    if data[:4] != _MAGIC:  # CDR begins with a zero byte
        return data
    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_BYTES)
    except (zstandard.ZstdError, MemoryError) as error:
        raise BagError(f"a compressed message cannot be decompressed: {error}") from error
