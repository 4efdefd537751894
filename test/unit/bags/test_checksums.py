"""Chunks of an MCAP file and their checksums: what cannot be trusted is left out and reported.

pytest test/unit/bags/test_checksums.py
"""

import struct

import pytest
from mcap.opcode import Opcode
from mcap.writer import CompressionType

from dial_core.bags.reader import Bag

from .foreign_recordings import EXPECTED, read, write_lazily

CHECKSUM_AT, RECORDS_AT = 9 + 24, 9 + 24 + 4 + 4 + 8  # in the record of a chunk without compression


def chunk_offsets(data: bytes) -> list[int]:
    """Where the chunks of an MCAP file begin."""
    found, at = [], 8
    while at + 9 <= len(data):
        opcode, length = struct.unpack_from("<BQ", data, at)
        found += [at] if opcode == Opcode.CHUNK else []
        at += 9 + length
    return found


def overwrite(file, *places: int) -> None:
    """Replaces the checksums at `places` by 0 and changes a byte of the messages that follow."""
    data = bytearray(file.read_bytes())
    for place in places:
        data[place + CHECKSUM_AT : place + CHECKSUM_AT + 4] = bytes(4)
        data[place + RECORDS_AT + 2000] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize("finish", [True, False], ids=["whole", "killed"])
def test_a_chunk_whose_checksum_was_wiped_gives_no_messages(tmp_path, finish):
    # Found by `make nightly`: 0 stands for "no checksum", so a changed message was taken for what the robot had said.
    file = write_lazily(tmp_path / "bag/x_0.mcap", finish=finish, compression=CompressionType.NONE) / "x_0.mcap"
    overwrite(file, chunk_offsets(file.read_bytes())[2])
    bag = Bag(file)
    found = read(bag)
    assert set(found) < set(EXPECTED)
    assert len(found) > len(EXPECTED) - 8
    assert "it has no checksum, though others of the file have one" in bag.damage[0]


def test_a_file_whose_writer_made_no_checksums_is_read_whole(tmp_path):
    file = write_lazily(tmp_path / "bag/x_0.mcap", compression=CompressionType.NONE) / "x_0.mcap"
    data = bytearray(file.read_bytes())
    for place in chunk_offsets(data):
        data[place + CHECKSUM_AT : place + CHECKSUM_AT + 4] = bytes(4)
    file.write_bytes(data)
    bag = Bag(file)
    assert read(bag) == EXPECTED
    assert bag.damage == []
