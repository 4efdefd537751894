"""A bag whose recorder was killed is read up to where it ends, and can be completed."""

import shutil

import pytest

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair, unfinished_bags


@pytest.fixture
def killed(bag_writer, joint_bytes, tmp_path):
    """A copy, made while recording, of a bag with 100 flushed and 7 unflushed messages."""
    writer = bag_writer()
    for k in range(100):
        writer.write("/joint_states", k, k, joint_bytes(k))
        if k % 10 == 9:
            writer.flush()
    for k in range(100, 107):
        writer.write("/joint_states", k, k, joint_bytes(k))
    return shutil.copytree(writer.folder, tmp_path / "killed" / "bag")


def test_everything_flushed_is_read_from_an_unfinished_bag(killed, joint_bytes):
    bag = Bag(killed)
    assert not bag.whole
    assert bag.facts["instruction"] == "put the can on the plate"
    assert [data for _, _, data in bag.messages(["/joint_states"])] == [joint_bytes(k) for k in range(100)]


@pytest.mark.parametrize("cut", [1, 50, 333])
def test_a_record_cut_anywhere_costs_only_its_chunk(killed, cut):
    path = next(killed.glob("*.mcap"))
    path.write_bytes(path.read_bytes()[:-cut])
    read = len(list(Bag(killed).messages(["/joint_states"])))
    assert 90 <= read <= 100


def test_repair_completes_it_with_the_same_bytes(killed, joint_bytes, messages_of):
    assert unfinished_bags(killed.parent) == [killed]
    assert repair(killed).messages == 100
    assert unfinished_bags(killed.parent) == []
    assert [data for _, _, data in messages_of(killed)] == [joint_bytes(k) for k in range(100)]
    bag = Bag(killed)
    assert bag.whole
    assert bag.facts["repaired"] == "true"
    assert list(killed.parent.iterdir()) == [killed]


def test_what_is_no_bag_is_said(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(BagError, match="is no bag"):
        Bag(tmp_path / "x")
    (tmp_path / "x" / "x_0.mcap").write_bytes(b"something else")
    with pytest.raises(BagError, match="is no MCAP file"):
        Bag(tmp_path / "x")
