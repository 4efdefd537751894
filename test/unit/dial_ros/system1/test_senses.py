"""Frames of several cameras and joints are brought together by their stamps; what is not whole is refused by name, never filled in."""

import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, JointState

from dial_core.errors import DialError
from dial_ros.node.messages import to_time

from .senses_bench import GR1, MS, WRIST_VIEW, joints, send_image, senses


def test_a_frame_is_joined_by_the_joints_of_its_moment():
    both, bench, seen = senses()
    joints(bench, 90, 0.1)
    joints(bench, 100, 0.2)
    bench.time_ns = 103 * MS
    send_image(bench, 100)
    joints(bench, 110, 0.3)
    assert [(o.stamp_ns, o.received_ns, o.joints[0]) for o in seen] == [(100 * MS, 103 * MS, 0.2)]
    assert both.inputs(150 * MS)["camera"].age_s == pytest.approx(0.05)


def test_a_frame_without_joints_of_its_moment_is_not_fresh_and_says_why():
    both, bench, seen = senses()
    joints(bench, 40)
    send_image(bench, 100)
    joints(bench, 101)
    assert seen == []
    camera = both.inputs(100 * MS)["camera"]
    assert camera.age_s is None
    assert "no joint state within 0.05 s before the frame at 0.100 s" in camera.refusal
    assert both.refused["joints_of_frame"] == 1


def test_frames_of_all_cameras_come_together_in_the_contracts_order_and_resolution():
    both, bench, seen = senses(WRIST_VIEW)
    joints(bench, 95)
    send_image(bench, 80, "wrist", (48, 64), value=9)
    send_image(bench, 100)
    assert [frame.stamp_ns for frame in seen[0].frames] == [100 * MS, 80 * MS]
    pixels = both.pixels(seen[0])
    assert [(p.shape, int(p[0, 0, 0])) for p in pixels] == [((96, 96, 3), 7), ((32, 32, 3), 9)]


@pytest.mark.parametrize("wrist_ms", [None, 60, 110])
def test_without_a_frame_of_a_further_camera_at_its_moment_nothing_is_observed(wrist_ms):
    both, bench, seen = senses(WRIST_VIEW)
    joints(bench, 95)
    if wrist_ms is not None:
        send_image(bench, wrist_ms, "wrist", (48, 64))
    bench.time_ns = 105 * MS
    send_image(bench, 100)
    bench.time_ns = 136 * MS
    joints(bench, 136)
    assert seen == []
    assert "no frame of camera 'wrist' within 0.03 s before" in both.inputs(100 * MS)["camera"].refusal
    assert both.refused["cameras_of_frame"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": (48, 48)}, "image is 48x48, the embodiment says that the camera gives 96x96"),
        ({"encoding": "32FC1"}, "encoding '32FC1' is that of a depth image"),
        ({"data": array.array("B", [0] * 99)}, "holds 99 bytes"),
    ],
)
def test_a_frame_that_cannot_be_used_is_named_and_the_next_good_one_heals(changes, words):
    both, bench, seen = senses()
    joints(bench, 100)
    send_image(bench, 100, **changes)
    assert seen == []
    assert words in both.inputs(100 * MS)["camera"].refusal
    assert both.refused["image"] == 1
    send_image(bench, 140)
    assert len(seen) == 1
    assert both.inputs(150 * MS)["camera"].refusal == ""


def test_a_repeated_frame_of_a_frozen_camera_is_not_fresh():
    both, bench, seen = senses()
    joints(bench, 100)
    for _ in range(3):
        send_image(bench, 100)
    assert len(seen) == 1
    assert both.inputs(700 * MS)["camera"].stale


@pytest.mark.parametrize("frozen_timeout", [0.0, 0.2])
def test_one_image_with_new_stamps_again_and_again_is_a_frozen_camera_if_that_is_checked(frozen_timeout):
    both, bench, seen = senses(frozen_timeout=frozen_timeout)
    for stamp_ms in range(100, 500, 50):
        bench.time_ns = stamp_ms * MS
        joints(bench, stamp_ms)
        send_image(bench, stamp_ms)
    assert len(seen) == (5 if frozen_timeout else 8)
    joints(bench, 500)
    send_image(bench, 500, value=8)
    assert len(seen) == (6 if frozen_timeout else 9)
    assert both.refused["image"] == (3 if frozen_timeout else 0)


def test_stamps_of_a_clock_that_is_ahead_are_refused():
    both, bench, seen = senses()
    joints(bench, 9000)
    send_image(bench, 9000)
    assert seen == []
    assert both.refused == {"joint_states": 1, "image": 1}
    assert "9.00 s in the future; synchronise the clocks" in both.inputs(0)["camera"].refusal


def test_joints_are_judged_before_the_node_is_active_and_again_when_their_names_change():
    both, bench, _ = senses()
    assert not both.listened
    bench.active = False
    joints(bench, 100, 0.0, GR1.joint_names[1:])
    assert not both.listened, "another broadcaster may report the joint that is missing"
    assert both.misfit.startswith("joint_states lack left_arm_controller (l_shoulder_pitch)")
    joints(bench, 110, 0.0, GR1.joint_names)
    assert both.misfit == ""
    assert both.inputs(110 * MS)["joint_states"].age_s is None, "nothing is taken in"


@pytest.mark.parametrize(
    ("names", "value", "words"),
    [(GR1.joint_names[1:], 0.0, "lack left_arm_controller (l_shoulder_pitch)"), (GR1.joint_names, np.nan, "not finite: l_shoulder_pitch")],
)
def test_joint_states_that_cannot_be_used_are_named(names, value, words):
    both, bench, _ = senses()
    joints(bench, 100, value, names)
    assert words in both.inputs(100 * MS)["joint_states"].refusal
    assert both.refused["joint_states"] == 1


def test_joints_far_outside_their_limits_keep_the_robot_from_moving_before_it_is_active_and_after_a_reset():
    both, bench, _ = senses()
    bench.active = False
    for stamp_ms in range(100, 300, 20):
        joints(bench, stamp_ms, 1.0)
    both.reset()
    bench.active = True
    joints(bench, 300, 1.0)
    found = both.inputs(300 * MS)["joint_states"]
    assert found.age_s is None
    assert found.refusal.startswith("joints far outside their limits: l_elbow_pitch at 1.00 rad (limits -3.00 to 0.00, tolerance 0.1), ")
    joints(bench, 320, 0.0)
    assert both.inputs(320 * MS)["joint_states"].refusal == ""


def test_extra_joints_and_any_order_are_read_by_name():
    _, bench, seen = senses()
    message = JointState(name=["wheel", *reversed(GR1.joint_names)], position=[9.0, *map(float, reversed(range(29)))])
    message.header.stamp = to_time(100 * MS)
    bench.callbacks["joint_states"](message)
    send_image(bench, 100)
    np.testing.assert_array_equal(seen[0].joints, np.arange(29.0))


def compressed(bench, stamp_ms, data):
    message = CompressedImage(format="png", data=array.array("B", data))
    message.header.stamp = to_time(stamp_ms * MS)
    bench.callbacks["image/ego/compressed"](message)


def test_a_compressed_camera_with_corrupted_data_counts_as_silent_until_an_image_can_be_read():
    both, bench, seen = senses(image_transport="compressed")
    good = cv2.imencode(".png", np.full((96, 96, 3), 5, np.uint8))[1].tobytes()
    cut = good[:45]  # its header is whole
    joints(bench, 100)
    compressed(bench, 100, cut)
    assert len(seen) == 1, "what is inside is only known when it is used"
    assert both.pixels(seen[0]) is None
    compressed(bench, 120, cut)
    assert len(seen) == 1
    assert "cannot be decoded" in both.inputs(130 * MS)["camera"].refusal
    compressed(bench, 140, good)
    assert len(seen) == 2
    assert both.pixels(seen[1])[0][0, 0].tolist() == [5, 5, 5]


def test_an_unknown_transport_is_refused_with_the_known_ones():
    with pytest.raises(DialError, match="raw, compressed"):
        senses(image_transport="theora")


def test_clearing_keeps_the_counters_and_a_reset_does_not():
    both, bench, _ = senses()
    send_image(bench, 100)
    joints(bench, 101)
    both.clear()
    assert both.inputs(100 * MS)["joint_states"].age_s is None
    assert both.refused["joints_of_frame"] == 1
    both.reset()
    assert both.refused.total() == 0
    both.close()
    assert bench.callbacks == {}


def test_a_hand_that_reports_rarely_and_moves_fast_does_not_disagree_with_the_arms():
    both, bench, _ = senses()
    bench.publisher_names = lambda topic: ["/arm_broadcaster", "/hand_driver"]
    hands, others = GR1.joint_names[14:26], (*GR1.joint_names[:14], *GR1.joint_names[26:])
    for ms in range(1000, 1400, 2):
        bench.time_ns = ms * MS
        if ms % 32 == 0:
            joints(bench, ms, 0.003 * (ms - 1000), hands)
        joints(bench, ms, 0.0, others)
        assert "disagree" not in both.inputs(ms * MS)["joint_states"].refusal


@pytest.mark.parametrize("late_ms", [0, 6, 12])
def test_every_frame_is_used_where_the_second_broadcasters_messages_arrive_after_newer_ones(late_ms):
    both, bench, seen = senses()
    hands, others = GR1.joint_names[14:26], (*GR1.joint_names[:14], *GR1.joint_names[26:])
    parts = [(ms, ms, others) for ms in range(1000, 1500, 10)] + [(ms + 5 + late_ms, ms + 5, hands) for ms in range(1000, 1500, 10)]
    frames = [(ms + 40, ms, None) for ms in range(1100, 1400, 50)]
    for arrives_ms, stamp_ms, names in sorted(parts + frames, key=lambda event: event[0]):
        bench.time_ns = arrives_ms * MS
        send_image(bench, stamp_ms) if names is None else joints(bench, stamp_ms, 0.1, names)
    assert len(seen) == len(frames)
    assert both.refused["joints_of_frame"] == 0


def test_two_broadcasters_make_whole_joint_states_and_one_that_falls_silent_is_named():
    both, bench, _ = senses()
    hands, others = GR1.joint_names[14:26], (*GR1.joint_names[:14], *GR1.joint_names[26:])
    joints(bench, 90, 0.01, others)
    joints(bench, 95, 0.02, hands)
    joints(bench, 100, 0.03, others)
    assert both.misfit == ""
    assert both.newest_joints[0] == 100 * MS
    assert (both.newest_joints[1][0], both.newest_joints[1][14]) == (0.03, 0.02)
    joints(bench, 200, 0.04, others)
    assert both.newest_joints[0] == 100 * MS, "nothing is filled in"
    assert "joint_states lack left_hand_controller" in both.inputs(200 * MS)["joint_states"].refusal
    joints(bench, 205, 0.04, hands)
    assert both.inputs(205 * MS)["joint_states"].refusal == ""
