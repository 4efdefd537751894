"""Clocks that jump, stamps from nowhere, slow cameras beside fast joints, and joint states that cannot be what they say."""

import numpy as np
import pytest

from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import COMMANDS, CONTROLLER, IMAGE, JOINTS, KINDS, MS, ROBOT, TYPES, cdr, header, joint_bytes, record
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import find_bags
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.timeline import Timeline, read_timeline
from dial_core.importers.bag.topic_streams import find_streams

from .recordings import JOINT_STATE, START_NS, camera_and_joints, trajectory, write

YEARS_NS = 50 * 365 * 86400 * 10**9


def timeline_of(folder) -> Timeline:
    bag = Bag(folder)
    return read_timeline(bag, find_streams(bag, ROBOT, ROBOT.cameras), ROBOT)


def stamped_later(data: bytes, by_ns: int) -> bytes:
    """A message with another stamp."""
    stamp_ns = int.from_bytes(data[4:8], "little") * 10**9 + int.from_bytes(data[8:12], "little") + by_ns
    return data[:4] + (stamp_ns // 10**9).to_bytes(4, "little") + (stamp_ns % 10**9).to_bytes(4, "little") + data[12:]


def test_a_computer_without_a_clock_that_ntp_sets_while_it_records_loses_a_moment(tmp_path):
    """From 1970 to today: a control step for every 50 ms between them would fill 235 GB."""
    messages = [
        (topic, kind, log_ns + YEARS_NS, stamped_later(data, YEARS_NS)) if log_ns > START_NS + 2500 * MS else (topic, kind, log_ns, data)
        for topic, kind, log_ns, data in camera_and_joints(5.0)
    ]
    timeline = timeline_of(write(tmp_path / "bag", messages))
    assert [round(len(epoch.sightings) / 20, 1) for epoch in timeline.epochs if epoch.sightings] == pytest.approx([2.5, 2.5], abs=0.15)
    found = resample(timeline, ROBOT, Resampling(actions="next", min_length_s=0.5))
    assert sum(map(len, found.pieces)) < 110


@pytest.mark.parametrize("topic", [JOINTS, IMAGE])
@pytest.mark.parametrize("by_ns", [YEARS_NS, -5 * 10**9], ids=["ahead", "back"])
def test_one_stamp_from_nowhere_costs_its_message_only(tmp_path, topic, by_ns):
    def change(name, at_ns, data):
        return stamped_later(data, 10**10 + (by_ns if name == topic and at_ns == 800 * MS else 0))

    folder = record(tmp_path / "bag", seconds=1.5, change=change)
    timeline = timeline_of(folder)
    assert len(timeline.epochs) == 1
    assert timeline.left_out.sentences() == [f"1 messages of {topic}: its stamp is far from that of the message before (at 0.80 s)"]
    assert len(timeline.sightings) >= 29


def test_a_bag_that_was_played_while_recording_does_not_cut_the_recording(tmp_path):
    played = [(topic, kind, log_ns + 5 * MS, stamped_later(data, -(10**9) // 2)) for topic, kind, log_ns, data in camera_and_joints(1.5)]
    recorded = [(topic, kind, log_ns, stamped_later(data, 10**11)) for topic, kind, log_ns, data in camera_and_joints(1.5)]
    timeline = timeline_of(write(tmp_path / "bag", recorded + played))
    assert len(timeline.epochs) == 1
    assert len(timeline.sightings) >= 28
    assert f"30 messages of {IMAGE}: its stamp is far from that of the message before (the first at" in timeline.left_out.sentences()[1]


def test_simulated_time_may_begin_at_zero(tmp_path):
    messages = [(topic, kind, log_ns, stamped_later(data, -START_NS)) for topic, kind, log_ns, data in camera_and_joints(1.0)]
    timeline = timeline_of(write(tmp_path / "bag", messages))
    assert len(timeline.epochs) == 1
    assert timeline.unstamped == set()
    assert timeline.sightings[0].stamp_ns == 50 * MS


def test_a_camera_that_is_half_a_second_late_finds_its_joints_among_those_of_a_1_khz_arm(tmp_path):
    messages = [(JOINTS, JOINT_STATE, START_NS + ms * MS, joint_bytes(START_NS + ms * MS)) for ms in range(1500)]
    messages += [(t, kind, log_ns + 500 * MS, data) for t, kind, log_ns, data in camera_and_joints(1.0, joints=False)]
    timeline = timeline_of(write(tmp_path / "bag", messages))
    assert timeline.incomplete == 0
    assert len(timeline.sightings) == 20
    assert timeline.sightings[7].joints == pytest.approx(timeline_of(record(tmp_path / "prompt", seconds=1.0)).sightings[7].joints)


def _joints(names, position) -> bytes:
    return cdr(KINDS[JOINTS], TYPES[KINDS[JOINTS]](header(START_NS), list(names), np.asarray(position, float), np.empty(0), np.empty(0)))


@pytest.mark.parametrize(
    ("names", "position", "reason"),
    [
        ((*ROBOT.joint_names, "r_elbow_pitch"), (*ROBOT.home_position, 3.0), "joint state names 'r_elbow_pitch' twice"),
        (ROBOT.joint_names, np.rad2deg(ROBOT.home_position), "are these degrees?"),
    ],
)
def test_joint_states_that_cannot_be_are_left_out_with_the_reason(tmp_path, names, position, reason):
    wrong = _joints(names, position)
    folder = record(tmp_path / "bag", seconds=0.5, change=lambda topic, at_ns, data: data[:12] + wrong[12:] if topic == JOINTS else data)
    with pytest.raises(DialError, match=rf"no frame has joints of its moment.*Left out were .*{reason}"):
        resample(timeline_of(folder), ROBOT, Resampling())


def test_a_command_that_is_not_finite_is_left_out(tmp_path):
    names = CONTROLLER.joints
    wrong = cdr(KINDS[COMMANDS], trajectory(START_NS + 500 * MS, names, [(0.1, [np.nan] * len(names), [])]))
    folder = record(
        tmp_path / "bag", seconds=1.0, change=lambda topic, at_ns, data: wrong if topic == COMMANDS and at_ns == 500 * MS else data
    )
    timeline = timeline_of(folder)
    assert timeline.left_out.sentences() == [f"1 messages of {COMMANDS}: it holds values that are not finite (at 0.50 s)"]
    assert len(timeline.commands) == 19


def test_a_camera_on_another_clock_is_refused_with_the_distance(tmp_path):
    # Some cameras stamp by the seconds since they were switched on.
    folder = record(tmp_path / "bag", seconds=1.0, change=lambda name, _, data: stamped_later(data, 10**10) if name == JOINTS else data)
    with pytest.raises(DialError, match=r"joints the same\? The camera's stamps lie 10\.0\d s before the joints'"):
        resample(timeline_of(folder), ROBOT, Resampling())


def test_bags_of_ros_1_are_sent_to_their_converter(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/x.bag").write_bytes(b"#ROSBAG V2.0\n")
    for source in (tmp_path / "old", tmp_path / "old/x.bag"):
        with pytest.raises(DialError, match=r"holds ROS 1 bags.*rosbags-convert"):
            find_bags([source])
