"""Recordings that pause, and clocks that are set: what a controller was commanded before holds after, where its joints stayed.

pytest test/unit/importers/test_bag_pauses.py
"""

import numpy as np
import pytest

from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import COMMANDS, IMAGE, JOINTS, MS, ROBOT, TYPES, cdr, command_bytes, elbow, header, image_bytes
from dial_core.importers.bag.bag_report import examine, not_used
from dial_core.importers.bag.conversion import BagConversion, convert_bags
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams

from .recordings import IMAGE_TYPE, JOINT_STATE, START_NS, TRAJECTORY, camera_and_joints, trajectory, write

HAND = next(controller for controller in ROBOT.controllers if controller.name == "right_hand_controller")
FINGERS = ROBOT.indices(HAND.joints)
ELBOW = ROBOT.joint_names.index("r_elbow_pitch")
HELD_RAD, PRESSED_RAD = 0.08, 0.15  # where an object stops the fingers, and where they are commanded
PART_MS, PAUSE_S = 3000, 90
LATER_NS = 100 * 10**9  # than the motion's own time, so that a clock can be set back


def joints(stamp_ns, time_s, held_rad):
    position = ROBOT.home_position.copy()
    position[ELBOW] = elbow(time_s - 0.04)
    position[FINGERS] += held_rad
    return cdr(JOINT_STATE, TYPES[JOINT_STATE](header(stamp_ns), list(ROBOT.joint_names), position, np.empty(0), np.empty(0)))


def moved_stamp(data, to_ns):
    return data[:4] + (to_ns // 10**9).to_bytes(4, "little") + (to_ns % 10**9).to_bytes(4, "little") + data[12:]


def in_two_parts(folder, stamps_ahead_s, logs_ahead_s, held_after_rad=HELD_RAD, waits_ms=0):
    """The arm makes one motion twice; the hand grips in the first part, and its one command is not repeated in the second.

    `waits_ms`: until the arm is commanded in the second part [ms].
    """
    messages = []
    for part in range(2):
        for ms in range(0, PART_MS, 10):
            at_ns, moves_ns = START_NS + ms * MS, START_NS + max(ms - part * waits_ms, 0) * MS
            stamp_ns = LATER_NS + at_ns + part * (PART_MS * MS + round(stamps_ahead_s * 1e9))
            log_ns = LATER_NS + at_ns + part * (PART_MS * MS + round(logs_ahead_s * 1e9)) + 2 * MS
            held = held_after_rad if part else HELD_RAD * (ms > 600)
            messages.append((JOINTS, JOINT_STATE, log_ns, joints(stamp_ns, moves_ns / 1e9, held)))
            if ms % 50 == 0:
                messages.append((IMAGE, IMAGE_TYPE, log_ns + MS, image_bytes(stamp_ns)))
                if not part or ms >= waits_ms:
                    messages.append((COMMANDS, TRAJECTORY, log_ns, moved_stamp(command_bytes(moves_ns), 0)))
            if (part, ms) == (0, 500):
                grip = trajectory(0, HAND.joints, [(0.1, ROBOT.home_position[FINGERS] + PRESSED_RAD, [])])
                messages.append((f"/{HAND.name}/joint_trajectory", TRAJECTORY, log_ns, cdr(TRAJECTORY, grip)))
    return write(folder, messages)


def resampled(folder):
    bag = Bag(folder)
    streams = find_streams(bag, ROBOT, ROBOT.cameras)
    timeline = read_timeline(bag, streams, ROBOT)
    found = resample(timeline, ROBOT, Resampling())
    return bag, timeline, found, examine("bag", ["e"], "x", bag, streams, timeline, found, ROBOT, 0).warnings


CUTS = {
    "a pause": (PAUSE_S, PAUSE_S),
    "a short pause": (2.0, 2.0),
    "a clock that is set ahead": (PAUSE_S, 0.0),
    "a clock that is set back": (-30.0, 0.0),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_command_that_is_not_repeated_holds_after(tmp_path, cut):
    _, timeline, found, warnings = resampled(in_two_parts(tmp_path / "bag", *CUTS[cut]))
    assert len([epoch for epoch in timeline.epochs if epoch.sightings]) == 2
    for piece in found.pieces:
        assert piece.targets[-1, FINGERS] == pytest.approx(ROBOT.home_position[FINGERS] + PRESSED_RAD)
    assert not [text for text in warnings if HAND.name in text]


@pytest.mark.parametrize("cut", CUTS)
def test_a_command_that_cannot_hold_any_more_is_not_made_up_and_the_part_is_reported(tmp_path, cut):
    """The hand was opened while nothing was recorded."""
    _, _, found, warnings = resampled(in_two_parts(tmp_path / "bag", *CUTS[cut], held_after_rad=-0.05))
    assert found.pieces[1].targets[-1, FINGERS] == pytest.approx(ROBOT.home_position[FINGERS] - 0.05)
    assert found.uncommanded_parts == {HAND.name: [2]}
    assert any(f"no command to {HAND.name} is known in part 2 of 2" in text for text in warnings)


def test_a_pause_is_no_set_clock_and_costs_no_message(tmp_path):
    bag, timeline, found, _ = resampled(in_two_parts(tmp_path / "bag", *CUTS["a pause"]))
    assert not_used(bag, timeline, found) == ["the recording paused 1 times, for up to 90 s: it is cut there"]
    assert len(timeline.sightings) == 2 * PART_MS / 50
    assert [len(epoch.commands) for epoch in timeline.epochs] == [PART_MS / 50 + 1, PART_MS / 50]


def test_an_arm_that_was_reset_in_a_short_pause_does_not_keep_the_command_before(tmp_path):
    _, timeline, found, warnings = resampled(in_two_parts(tmp_path / "bag", *CUTS["a short pause"], waits_ms=900))
    assert [epoch.paused_s for epoch in timeline.epochs] == [None, pytest.approx(2.0, abs=0.02)]
    assert max(np.abs(piece.targets - piece.joints)[:, ELBOW].max() for piece in found.pieces) < 0.2
    assert "the recording paused 1 times, for up to 2 s: it is cut there" in warnings


def test_a_recorder_that_stalls_and_loses_nothing_has_not_paused(tmp_path):
    """What it received meanwhile it logs later: log times pause, stamps do not."""
    stalled = [
        (topic, kind, log_ns + 2000 * MS * (log_ns > START_NS + 1500 * MS), data) for topic, kind, log_ns, data in camera_and_joints()
    ]
    bag = Bag(write(tmp_path / "bag", stalled))
    assert len(read_timeline(bag, find_streams(bag, ROBOT, ROBOT.cameras), ROBOT).epochs) == 1


@pytest.mark.parametrize("cut", ["a clock that is set ahead", "a clock that is set back"])
def test_a_set_clock_is_reported_as_one(tmp_path, cut):
    folder = in_two_parts(tmp_path / "bag", *CUTS[cut])
    job = convert_bags([folder], tmp_path / "out", BagConversion(instruction="x"), workers=0).jobs[0]
    assert "the clock was set 1 times: the recording is cut there" in job.rejected


def test_a_camera_that_is_silent_while_the_joints_go_on_sets_no_clock(tmp_path):
    times_ms = range(0, 75_000, 50)
    messages = [(JOINTS, JOINT_STATE, START_NS + ms * MS, joints(START_NS + ms * MS, ms / 1e3, 0.0)) for ms in times_ms]
    seen_ms = [ms for ms in times_ms if not 2000 < ms < 70_000]
    messages += [(IMAGE, IMAGE_TYPE, START_NS + ms * MS + MS, image_bytes(START_NS + ms * MS)) for ms in seen_ms]
    bag = Bag(write(tmp_path / "bag", messages))
    timeline = read_timeline(bag, find_streams(bag, ROBOT, ROBOT.cameras), ROBOT)
    assert len(timeline.epochs) == 1
    assert len(timeline.sightings) == len(seen_ms)
    found = resample(timeline, ROBOT, Resampling(actions="next"))
    assert [round(length) for _, length in found.gaps] == [68]
