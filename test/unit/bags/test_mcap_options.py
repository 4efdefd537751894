"""Complete MCAP files whose writers leave out what the format makes optional: nothing is lost, and nothing is taken for a killed recording.

pytest test/unit/bags/test_mcap_options.py
"""

import pytest
from mcap.writer import IndexType

from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair

from .foreign_recordings import EXPECTED, messages, read, write_mcap

OPTIONS = {
    "schemas": {"repeat_schemas": False},
    "channels": {"repeat_channels": False},
    "both": {"repeat_schemas": False, "repeat_channels": False},
    "statistics": {"use_statistics": False},
    "chunks": {"use_chunking": False},
    "index": {"index_types": IndexType.NONE},
    "index of messages": {"index_types": IndexType.CHUNK},
    "index of chunks": {"index_types": IndexType.MESSAGE},
    "checksums": {"enable_crcs": False},
    "summary": {
        "repeat_schemas": False,
        "repeat_channels": False,
        "use_statistics": False,
        "use_summary_offsets": False,
        "index_types": IndexType.NONE,
    },
    "everything": {
        "repeat_schemas": False,
        "repeat_channels": False,
        "use_statistics": False,
        "use_summary_offsets": False,
        "use_chunking": False,
        "index_types": IndexType.NONE,
        "enable_crcs": False,
    },
}


@pytest.mark.parametrize("missing", OPTIONS)
def test_a_complete_file_without_an_option_is_whole_and_left_as_it_is(tmp_path, missing):
    path = write_mcap(tmp_path / "bag/x_0.mcap", messages(), chunk_size=4000, **OPTIONS[missing])
    bag, before = Bag(path.parent), path.read_bytes()
    assert read(bag) == EXPECTED
    assert bag.whole
    assert bag.foreign == {}
    assert repair(path.parent).action == "metadata.yaml written"
    assert path.read_bytes() == before
    assert read(Bag(path.parent)) == EXPECTED


@pytest.mark.parametrize("missing", ["statistics", "summary"])
def test_a_complete_file_with_a_damaged_chunk_is_not_whole_though_it_has_to_be_scanned(tmp_path, missing):
    path = write_mcap(tmp_path / "bag/x_0.mcap", messages(), chunk_size=4000, **OPTIONS[missing])
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    path.write_bytes(damaged)
    bag = Bag(path.parent)
    found = read(bag)
    assert not bag.whole
    assert bag.damage
    assert 0 < len(found) < len(EXPECTED)
    assert set(found) <= set(EXPECTED)


@pytest.mark.parametrize("missing", OPTIONS)
def test_a_file_that_was_cut_off_is_not_whole(tmp_path, missing):
    path = write_mcap(tmp_path / "bag/x_0.mcap", messages(), finish=False, chunk_size=4000, **OPTIONS[missing])
    bag = Bag(path.parent)
    assert not bag.whole
    found = read(bag)
    assert found == EXPECTED[: len(found)]
    assert len(found) > len(EXPECTED) - 6
