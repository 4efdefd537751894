"""Rates, lost messages, joint history and the one-slot mailbox."""

import threading

import numpy as np
import pytest

from dial_core.control.motion import NANOSECONDS
from dial_core.observation.readings import JointHistory
from dial_ros.node.rates import Rate, StampedStream
from dial_ros.node.worker import Worker

MS = 1_000_000


def test_a_rate_is_that_of_the_last_two_seconds():
    rate = Rate()
    assert rate.hz(0) == 0.0
    for k in range(100):
        rate.tick(k * 200 * MS)
    assert rate.hz(99 * 200 * MS) == pytest.approx(5.0)
    assert rate.hz(99 * 200 * MS + 3 * NANOSECONDS) == 0.0


def test_gaps_in_the_stamps_are_lost_frames():
    stream = StampedStream()
    for stamp_ms in (0, 50, 100, 250, 300):
        assert stream.take(stamp_ms * MS)
    assert stream.lost == 2
    assert not stream.take(300 * MS)
    assert stream.age_s(400 * MS) == pytest.approx(0.1)


def test_the_next_message_is_due_a_period_after_the_newest():
    stream = StampedStream()
    stream.take(0)
    assert not stream.due_by(60 * MS), "the period is not known"
    stream.take(50 * MS)
    assert [stream.due_by(stamp_ms * MS) for stamp_ms in (50, 94, 95, 100)] == [False, False, True, True]


def test_two_frames_stamped_at_once_make_no_lost_frames():
    stream = StampedStream()
    stamps_ms = [33 * k for k in range(20)] + [33 * 19 + 3] + [33 * k for k in range(20, 60)]
    for stamp_ms in stamps_ms:
        stream.take(stamp_ms * MS)
    assert stream.lost == 0


def test_a_short_gap_at_the_very_beginning_makes_no_lost_frames():
    stream = StampedStream()
    for stamp_ms in (0, 3, 36, 69, 102, 135):
        stream.take(stamp_ms * MS)
    assert stream.lost == 0


def test_losses_are_counted_on_a_link_that_loses_more_than_half():
    stream = StampedStream()
    kept = [k for k in range(400) if k % 5 in (0, 1)]  # periods of 1 and 4
    for k in kept:
        stream.take(50 * k * MS)
    assert stream.lost == pytest.approx(kept[-1] + 1 - len(kept), abs=15)


def test_a_stamp_that_goes_back_restarts_the_stream():
    stream = StampedStream()
    for stamp_ms in (9000, 9050, 10, 60):
        assert stream.take(stamp_ms * MS)
    assert stream.newest_ns == 60 * MS
    assert stream.lost == 0


def test_joints_are_those_at_or_just_before_the_frame():
    history = JointHistory()
    for stamp_ms in (0, 10, 20, 30):
        history.add(stamp_ms * MS, np.array([float(stamp_ms)]))
    assert history.at(20 * MS, 0.05) == 20.0
    assert history.at(29 * MS, 0.05) == 20.0
    assert history.at(200 * MS, 0.05) is None
    history.add(5 * MS, np.array([5.0]))
    assert history.at(30 * MS, 0.05) == 5.0


def test_joint_states_that_overtook_each_other_leave_the_history_and_a_clock_that_went_back_does_not():
    history = JointHistory()
    for stamp_ms in (1000, 1010, 1005, 1020, 1012):
        history.add(stamp_ms * MS, np.array([float(stamp_ms)]))
    assert history.at(1002 * MS, 0.05) == 1000.0
    assert history.at(1019 * MS, 0.05) == 1005.0, "the last that came by 1010 ms"
    history.add(900 * MS, np.array([900.0]))
    assert history.at(1019 * MS, 0.05) is None
    assert history.at(910 * MS, 0.05) == 900.0


def test_the_newest_item_wins_while_the_worker_is_busy():
    busy, go_on, done = threading.Event(), threading.Event(), threading.Event()
    worked = []

    def work(item):
        worked.append(item)
        busy.set()
        go_on.wait(5)
        if item == "last":
            done.set()

    worker = Worker("test", work, lambda error: None)
    worker.put("first")
    assert busy.wait(5)
    worker.put("replaced")
    worker.put("last")
    go_on.set()
    assert done.wait(5)
    worker.close()
    assert worked == ["first", "last"]


def test_an_exception_ends_the_worker_and_is_handed_on():
    failures, failed = [], threading.Event()

    def fail(error):
        failures.append(error)
        failed.set()

    worker = Worker("test", lambda item: 1 / item, fail)
    worker.put(0)
    assert failed.wait(5)
    assert isinstance(failures[0], ZeroDivisionError)
