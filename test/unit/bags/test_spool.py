"""Whoever records never waits for the disk."""

import threading

import pytest

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.bags.spool import Spool


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
