"""Whoever records never waits for the disk."""

import threading

import pytest

from dial_core.bags.layout import BagContents, BagError
from dial_core.bags.reader import Bag
from dial_core.bags.spool import Spool
from dial_core.files.disk_space import DiskFullError


def test_everything_put_is_in_the_bag_after_close(bag_writer, joint_bytes):
    spool = Spool(bag_writer())
    assert all(spool.put("/joint_states", k, k, joint_bytes(k)) for k in range(300))
    spool.close({"outcome": "success"})
    bag = Bag(spool.writer.folder)
    assert len(list(bag.messages(["/joint_states"]))) == 300
    assert bag.facts["lost"] == "0"


def test_a_disk_that_stands_still_costs_messages_and_no_time(bag_writer, joint_bytes, monkeypatch):
    writer, disk = bag_writer(), threading.Event()
    write = writer.write
    monkeypatch.setattr(writer, "write", lambda *message: (disk.wait(), write(*message)))
    size = len(joint_bytes(0))
    spool = Spool(writer, limit_bytes=10 * size)
    taken = sum(spool.put("/joint_states", k, k, joint_bytes(k)) for k in range(100))
    assert taken <= 11
    assert spool.lost == 100 - taken
    disk.set()
    spool.close({})
    assert writer.messages == taken


def test_a_disk_that_fails_ends_the_recording_with_its_reason(bag_writer, joint_bytes, monkeypatch):
    writer = bag_writer()

    def full(*_):
        raise BagError("the disk is full")

    monkeypatch.setattr(writer, "write", full)
    spool = Spool(writer)
    spool.put("/joint_states", 1, 1, joint_bytes(1))
    with pytest.raises(BagError, match="the disk is full"):
        spool.close({})
    assert not spool.put("/joint_states", 2, 2, joint_bytes(2))


@pytest.fixture
def slow(bag_writer, monkeypatch):
    """(Spool, function that lets the disk take a number of messages): each of them waits for that."""
    writer, disk = bag_writer(), threading.Semaphore(0)
    write = writer.write
    monkeypatch.setattr(writer, "write", lambda *message: (disk.acquire(), write(*message)))
    return Spool(writer), disk.release


def test_a_spool_that_was_ended_returns_at_once_and_completes_its_bag_meanwhile(slow, joint_bytes):
    spool, take = slow
    for k in range(3):
        spool.put("/joint_states", k, k, joint_bytes(k))
    spool.end({"outcome": "unknown"})
    assert not spool.put("/joint_states", 3, 3, joint_bytes(3)), "a message after the end"
    assert not spool.done
    assert spool.waiting_bytes == 3 * len(joint_bytes(0))
    assert spool.remaining_s is None
    take(3)
    spool.close({"outcome": "success"})
    assert spool.done
    assert (spool.waiting_bytes, spool.remaining_s) == (0, 0.0)
    facts = Bag(spool.writer.folder).facts
    assert (facts["outcome"], facts["lost"]) == ("unknown", "0"), "the first facts hold"


def test_what_waits_can_be_given_up_and_the_bag_is_complete_all_the_same(slow, joint_bytes):
    spool, take = slow
    for k in range(10):
        spool.put("/joint_states", k, k, joint_bytes(k))
    take(1)
    spool.end({})
    spool.give_up()
    take(1)  # the message that is being written
    spool.close({})
    bag = Bag(spool.writer.folder)
    assert bag.whole
    assert int(bag.facts["lost"]) + sum(bag.counts.values()) == 10
    assert spool.waiting_bytes == 0


def test_a_disk_that_does_not_take_the_metadata_ends_in_a_reason(bag_writer, joint_bytes, monkeypatch):
    writer = bag_writer()

    def full(*_):
        raise DiskFullError("the disk is full")

    monkeypatch.setattr(BagContents, "write", full)
    spool = Spool(writer)
    spool.put("/joint_states", 1, 1, joint_bytes(1))
    with pytest.raises(BagError, match="the disk is full"):
        spool.close({})
