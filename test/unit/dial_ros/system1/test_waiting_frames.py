"""A frame waits for what belongs to its moment: messages of one moment arrive in any order."""

import pytest

from dial_core.control.motion import NANOSECONDS

from .senses_bench import MS, WRIST_VIEW, joints, queue_joints, send_image, senses


@pytest.mark.parametrize("order", [("ego", "wrist"), ("wrist", "ego")])
def test_frames_of_one_moment_come_together_in_whatever_order_they_arrive(order):
    both, bench, seen = senses(WRIST_VIEW, camera_gap=0.05)
    for number, jitter_us in enumerate([0, 600, -500, 400, -700, 300, 0, 500, -600, 200]):
        stamp_ms = 1000 + 50 * number + jitter_us / 1000
        bench.time_ns = round((stamp_ms + 5) * MS)
        joints(bench, round(stamp_ms) - 2)
        for camera in order:
            send_image(bench, stamp_ms, camera, (96, 96) if camera == "ego" else (48, 64))
    assert [o.frames[0].stamp_ns - o.frames[1].stamp_ns for o in seen[2:]] == [0] * 8
    assert both.refused.total() == 0


def test_a_joint_state_of_the_frames_moment_is_waited_for_where_they_come_at_the_cameras_rate():
    both, bench, seen = senses()
    for stamp_ms in range(1000, 1500, 50):
        bench.time_ns = (stamp_ms + 5) * MS
        send_image(bench, stamp_ms)
        joints(bench, stamp_ms, stamp_ms / 1000)
    assert len(seen) == 10
    assert [o.joints[0] for o in seen[2:]] == [o.stamp_ns / NANOSECONDS for o in seen[2:]], "the rate is known from two on"
    assert both.refused.total() == 0


@pytest.mark.parametrize("phase_ms", [5, 20, 40])
def test_cameras_that_are_not_synchronised_are_not_waited_for(phase_ms):
    _, bench, seen = senses(WRIST_VIEW, camera_gap=0.05)
    for number, stamp_ms in enumerate(range(1000, 1500, 50)):
        bench.time_ns = stamp_ms * MS
        joints(bench, stamp_ms)
        send_image(bench, stamp_ms - phase_ms, "wrist", (48, 64))
        send_image(bench, stamp_ms)
        assert len(seen) == number + 1
    assert {o.stamp_ns - o.frames[1].stamp_ns for o in seen} == {phase_ms * MS}


def test_a_frame_waits_no_longer_than_the_gap_and_is_then_refused_once():
    both, bench, seen = senses(WRIST_VIEW, camera_gap=0.05)
    bench.time_ns = 1005 * MS
    send_image(bench, 1000)
    for now_ms in (1010, 1054):
        bench.time_ns = now_ms * MS
        joints(bench, now_ms - 2)
    assert both.refused.total() == 0
    for now_ms in (1055, 1060):
        bench.time_ns = now_ms * MS
        joints(bench, now_ms - 2)
    assert both.refused == {"joints_of_frame": 1}
    send_image(bench, 1060)
    send_image(bench, 1110)
    assert both.refused == {"joints_of_frame": 1, "cameras_of_frame": 1}, "the next frame takes the place of one that waits"
    send_image(bench, 1110, "wrist", (48, 64))
    joints(bench, 1110)
    assert [o.stamp_ns for o in seen] == [1110 * MS]
    assert both.inputs(1120 * MS)["camera"].refusal == ""


def test_where_a_further_camera_lost_a_frame_the_one_before_is_used_after_the_wait():
    _, bench, seen = senses(WRIST_VIEW, camera_gap=0.06)
    for stamp_ms in (1000, 1050, 1100):
        bench.time_ns = stamp_ms * MS
        joints(bench, stamp_ms)
        if stamp_ms < 1100:
            send_image(bench, stamp_ms, "wrist", (48, 64))
        send_image(bench, stamp_ms)
    assert len(seen) == 2
    bench.time_ns = 1160 * MS
    joints(bench, 1160)
    assert [frame.stamp_ns for frame in seen[2].frames] == [1100 * MS, 1050 * MS]


def test_a_frame_that_waits_is_dropped_with_what_was_received():
    both, bench, seen = senses(WRIST_VIEW)
    joints(bench, 100)
    send_image(bench, 100)
    both.clear()
    joints(bench, 100)
    send_image(bench, 100, "wrist", (48, 64))
    assert seen == []
    assert both.refused.total() == 0


def test_after_a_stall_the_newest_joint_state_shows_the_time_and_a_frame_takes_those_of_its_own_moment():
    both, bench, seen = senses()
    bench.time_ns = 1060 * MS
    send_image(bench, 1000)
    for stamp_ms in (1010, 1020, 1050):
        queue_joints(bench, stamp_ms, stamp_ms / 1000)
    joints(bench, 990, 0.99)
    bench.time_ns = 1100 * MS  # the frame waited for longer than `joint_gap`: the first joint state of the queue must not settle it
    queue_joints(bench, 1070, 1.07)
    queue_joints(bench, 1100, 1.1)
    joints(bench, 1060, 1.06)
    assert bench.joint_stamps == [1050 * MS, 1100 * MS], "the older ones say nothing about the robot's clock"
    assert [o.joints[0] for o in seen] == [0.99]
    assert both.newest_joints[0] == 1100 * MS
    assert both.refused.total() == 0
