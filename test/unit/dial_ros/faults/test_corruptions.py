"""Each corruption does the one thing it is named after, and makes the fault that System-1's contract names."""

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.control.foresight_gate import Foresight, ForesightContract
from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.errors import DialError
from dial_core.observation.readings import JointOrder, UnreadableMessageError, foresight_from_message, require_readable_image
from dial_core.robot.embodiment import load_embodiment
from dial_ros.faults import corruptions
from dial_ros.faults.campaign import GROUPS, chosen_groups
from dial_ros.faults.stream_faults import STREAM_FAULTS
from dial_ros.node.messages import foresight_to_message, image_to_message

NOW_NS = 5 * NANOSECONDS
CONTRACT = ForesightContract("model", (4, 8), 0.8)


def foresight_message(seq=1):
    tokens = np.ones((4, 8), np.float32)
    return foresight_to_message(Foresight(tokens, (4, 8), "float32", NOW_NS - 10**8, seq, "task", "model"), NOW_NS, "ego", 0.8)


def image():
    return image_to_message(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3), NOW_NS, "ego")


def joints():
    return JointState(name=["a", "b", "c", "d"], position=[0.0, 1.0, 2.0, 3.0], velocity=[0.0] * 4)


NAMED = [fault for fault in STREAM_FAULTS if fault.reports.startswith("foresight:") and fault.holds]


@pytest.mark.parametrize("fault", NAMED, ids=lambda fault: fault.name)
def test_a_corrupted_foresight_is_refused_for_the_reason_that_its_scenario_names(fault):
    ((_, corrupted),) = fault.corruption()(foresight_message())
    reason, _ = CONTRACT.refusal(foresight_from_message(corrupted), "task", NOW_NS)
    assert f"foresight:{reason}" == fault.reports


def test_out_of_order_sends_the_message_before_once_more_after_the_newer_one():
    corrupt = corruptions.out_of_order()
    corrupt(foresight_message(1))
    assert [message.seq for _, message in corrupt(foresight_message(2))] == [2, 1]


@pytest.mark.parametrize("corruption", [corruptions.half_size, lambda: corruptions.with_field("encoding", "32FC1")])
def test_a_corrupted_image_is_refused(corruption):
    ((_, corrupted),) = corruption()(image())
    with pytest.raises(UnreadableMessageError):
        require_readable_image(corrupted, (8, 6))


def test_a_frozen_camera_repeats_its_first_image_with_new_stamps():
    corrupt, later = corruptions.frozen_image(), image()
    ((_, first),) = corrupt(image())
    later.data[5] ^= 255
    later.header.stamp.sec += 1
    ((_, second),) = corrupt(later)
    assert second.data == first.data
    assert to_ns(second.header.stamp) == NOW_NS + NANOSECONDS


@pytest.mark.parametrize(("rate_hz", "count"), [(5, 5), (10, 10), (20, 20), (30, 30), (60, 60)])
def test_a_camera_of_20_hz_is_made_one_of_another_rate(rate_hz, count):
    corrupt = corruptions.at_rate(20, rate_hz)
    sent = [message for _ in range(20) for _, message in corrupt(image())]
    assert len(sent) == count


@pytest.mark.parametrize("corruption", [corruptions.reversed_joints, corruptions.extra_joint])
def test_order_and_extra_joints_do_not_matter(corruption):
    ((_, message),) = corruption()(joints())
    assert JointOrder("abcd").positions(message).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("corruption", [corruptions.without_first_joint, corruptions.joint_with_nan])
def test_missing_and_not_finite_joints_are_refused(corruption):
    ((_, message),) = corruption()(joints())
    with pytest.raises(UnreadableMessageError):
        JointOrder("abcd").positions(message)


def test_a_decompression_bomb_is_refused_by_its_header():
    ((_, bomb),) = corruptions.decompression_bomb(3000)(CompressedImage())
    assert len(bomb.data) < 100_000
    with pytest.raises(UnreadableMessageError, match="3000"):
        require_readable_image(bomb, (8, 6))


def test_a_trajectory_that_ends_in_motion_is_rejected_by_the_controllers():
    controller = load_embodiment("gr1").controllers[0]
    still = JointTrajectoryPoint(positions=[0.0] * len(controller.joints), time_from_start=Duration(sec=1))
    ((_, corrupted),) = corruptions.ending_in_motion()(JointTrajectory(joint_names=list(controller.joints), points=[still]))
    emulated = JointTrajectoryController(controller, np.zeros(len(controller.joints)))
    with pytest.raises(TrajectoryRejectedError, match="velocity of the last"):
        emulated.accept(TrajectoryRequest.from_message(corrupted), 0)


def test_no_two_scenarios_share_a_name_and_the_quick_ones_are_some_of_them():
    names = [scenario.name for group in GROUPS for scenario in group.scenarios]
    assert len(set(names)) == len(names)
    quick, whole = (sum(len(group.scenarios) for group in chosen_groups(quick)) for quick in (True, False))
    assert 0 < quick < whole == len(names)


def test_a_resumed_campaign_plays_what_has_no_outcome_yet():
    (group,) = chosen_groups(False, "camera", frozenset({"camera frozen", "camera at 5 Hz", "camera at 10 Hz"}))[:1]
    assert "camera dropped" in [scenario.name for scenario in group.scenarios]
    assert "camera frozen" not in [scenario.name for scenario in group.scenarios]


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(DialError, match="camera frozen"):
        chosen_groups(False, "no such fault")
