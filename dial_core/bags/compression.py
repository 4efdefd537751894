"""zstd, as rosbag2 compresses: whole files (`x.mcap.zstd`) or message by message."""

from __future__ import annotations

from pathlib import Path

import zstandard

from dial_core.bags.layout import BagError
from dial_core.bags.temporary import TemporaryFolder, temporary_folder

_MAGIC = b"\x28\xb5\x2f\xfd"
_MOST_BYTES = 2**31

_HEAD = 18  # bytes, the longest header of a frame
_BEST_RATIO = 2**15  # a block of 128 KiB takes at least 4 bytes


def decompressed(path: Path) -> tuple[TemporaryFolder, Path]:
    """What a compressed file holds, as a file in a temporary folder, which goes with the folder's object.

    Raises:
        BagError: it cannot be decompressed.
        DiskFullError: the disk of the temporary folder (`TMPDIR`) has no room for it.
    """
    with temporary_folder(_content_bytes(path), f"{path.name}, decompressed") as folder:
        target = folder.path / path.name.removesuffix(".zstd")
        try:
            with path.open("rb") as source, target.open("wb") as sink:
                zstandard.ZstdDecompressor().copy_stream(source, sink)
        except zstandard.ZstdError as error:
            raise BagError(f"{path} cannot be decompressed: {error}; restore the file") from error
    return folder, target


def _content_bytes(path: Path) -> int:
    """Decompressed size of a file by its header [byte]; the file's own size where the header states none, or an impossible one."""
    own = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    try:
        stated = zstandard.frame_content_size(head)
    except zstandard.ZstdError:
        return own
    return stated if own < stated <= _BEST_RATIO * own else own


def decompressed_message(data: bytes) -> bytes:
    """A message's CDR bytes, whether or not they were compressed. Raises BagError if they cannot be decompressed."""
    if data[:4] != _MAGIC:  # CDR begins with a zero byte
        return data
    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_BYTES)
    except (zstandard.ZstdError, MemoryError) as error:
        raise BagError(f"a compressed message cannot be decompressed: {error}") from error
