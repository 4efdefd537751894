"""HDF5 files whose strings are damaged: libhdf5 would hang in them for ever, so they are refused before it opens them.

pytest test/unit/importers/test_global_heaps.py
"""

import struct

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.importers.egodex.global_heaps import require_sound_heaps
from dial_core.importers.egodex.recording import read_recording

from .source_files import write_egodex


@pytest.fixture
def recording(tmp_path):
    poses = dict.fromkeys(("camera", "leftHand", "rightHand"), np.tile(np.eye(4), (5, 1, 1)))
    return write_egodex(tmp_path / "pour", 0, poses, llm_description="Pour.")


def change(file, at_from_heap: int, data: bytes) -> int:
    """Overwrites bytes of the file's heap; where the heap begins."""
    whole = bytearray(file.read_bytes())
    heap = whole.index(b"GCOL")
    whole[heap + at_from_heap : heap + at_from_heap + len(data)] = data
    file.write_bytes(whole)
    return heap


def test_a_sound_recording_is_read(recording):
    assert read_recording(recording).instruction == "Pour."


@pytest.mark.parametrize(("at", "data"), [(16, bytes(200)), (40, bytes(16)), (48, struct.pack("<Q", 0))], ids=["zeros", "end", "size"])
def test_free_space_without_a_size_is_refused(recording, at, data):
    heap = change(recording, at, data)
    with pytest.raises(DialError, match=rf"0\.hdf5 cannot be read: its strings are damaged at byte {heap}"):
        read_recording(recording)


@pytest.mark.parametrize("size", [0, 8, 10, 2**63])
def test_a_heap_of_another_size_ends_where_it_says_or_with_the_file(recording, size):
    change(recording, 8, struct.pack("<Q", size))
    require_sound_heaps(recording)


def test_what_is_no_file_or_empty_is_left_to_the_reader(tmp_path):
    require_sound_heaps(tmp_path / "none.hdf5")
    (tmp_path / "empty.hdf5").touch()
    require_sound_heaps(tmp_path / "empty.hdf5")
