"""Global heaps of an HDF5 file, which hold its strings: libhdf5 2.0 never returns from one whose free space has the size 0.

Blocks of zeros, as a power loss leaves them, make such heaps.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from dial_core.errors import DialError

_SIGNATURE = b"GCOL\x01\0\0\0"
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size; the index of free space is 0


def require_sound_heaps(file: Path) -> None:
    """Raises DialError if the file has a global heap in which libhdf5 would hang. A file that cannot be read is left to libhdf5."""
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            place = data.find(_SIGNATURE)
            while place >= 0:
                if _hangs(data, place):
                    raise DialError(f"{file.name} cannot be read: its strings are damaged at byte {place}; is it complete?")
                place = data.find(_SIGNATURE, place + 1)
    except (OSError, ValueError):  # missing, or empty
        return


def _hangs(data: mmap.mmap, place: int) -> bool:
    """Whether the objects of the heap at `place` end in free space without a size."""
    head = place + len(_SIGNATURE)
    if head + 8 > len(data):
        return False
    end = min(place + struct.unpack_from("<Q", data, head)[0], len(data))
    at = head + 8
    while at + _OBJECT.size <= end:
        index, _, _, size = _OBJECT.unpack_from(data, at)
        step = size if index == 0 else _OBJECT.size + -(-size // 8) * 8
        if step == 0:
            return True
        at += step
    return False
