"""Each spoiler does the one thing it is named after, and makes the fault that System-1's contract names."""

import numpy as np
import pytest
from sensor_msgs.msg import JointState

from dial_core.control.foresight_gate import Foresight, ForesightContract
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.observation.readings import JointOrder, UnreadableMessageError, foresight_from_message, require_readable_image
from dial_ros.faults import spoilers
from dial_ros.faults.campaign import GROUPS, chosen_scenarios
from dial_ros.faults.stream_faults import STREAM_FAULTS
from dial_ros.node.messages import foresight_to_message, image_to_message

NOW_NS = 5 * NANOSECONDS
CONTRACT = ForesightContract("model", (4, 8), 0.8)


def foresight_message(seq=1):
    tokens = np.ones((4, 8), np.float32)
    return foresight_to_message(Foresight(tokens, (4, 8), "float32", NOW_NS - 10**8, seq, "task", "model"), NOW_NS, "ego", 0.8)


def picture():
    return image_to_message(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3), NOW_NS, "ego")


def joints():
    return JointState(name=["a", "b", "c", "d"], position=[0.0, 1.0, 2.0, 3.0], velocity=[0.0] * 4)


NAMED = [fault for fault in STREAM_FAULTS if fault.tells.startswith("foresight:") and fault.holds]


@pytest.mark.parametrize("fault", NAMED, ids=lambda fault: fault.name)
def test_a_spoilt_foresight_is_refused_for_the_reason_that_its_scenario_names(fault):
    ((_, spoilt),) = fault.spoiler()(foresight_message())
    reason, _ = CONTRACT.refusal(foresight_from_message(spoilt), "task", NOW_NS)
    assert f"foresight:{reason}" == fault.tells


def test_out_of_order_sends_the_message_before_once_more_after_the_newer_one():
    spoil = spoilers.out_of_order()
    spoil(foresight_message(1))
    assert [message.seq for _, message in spoil(foresight_message(2))] == [2, 1]


@pytest.mark.parametrize("spoiler", [spoilers.half_size, lambda: spoilers.with_field("encoding", "32FC1")])
def test_a_spoilt_picture_is_refused(spoiler):
    ((_, spoilt),) = spoiler()(picture())
    with pytest.raises(UnreadableMessageError):
        require_readable_image(spoilt, (8, 6))


def test_a_frozen_camera_repeats_its_first_picture_with_new_stamps():
    spoil, later = spoilers.frozen_picture(), picture()
    ((_, first),) = spoil(picture())
    later.data[5] ^= 255
    later.header.stamp.sec += 1
    ((_, second),) = spoil(later)
    assert second.data == first.data
    assert to_ns(second.header.stamp) == NOW_NS + NANOSECONDS


@pytest.mark.parametrize(("rate_hz", "count"), [(5, 5), (10, 10), (20, 20), (30, 30), (60, 60)])
def test_a_camera_of_20_hz_is_made_one_of_another_rate(rate_hz, count):
    spoil = spoilers.at_rate(20, rate_hz)
    sent = [message for _ in range(20) for _, message in spoil(picture())]
    assert len(sent) == count


@pytest.mark.parametrize("spoiler", [spoilers.reversed_joints, spoilers.extra_joint])
def test_order_and_extra_joints_do_not_matter(spoiler):
    ((_, message),) = spoiler()(joints())
    assert JointOrder("abcd").positions(message).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("spoiler", [spoilers.without_first_joint, spoilers.joint_with_nan])
def test_missing_and_not_finite_joints_are_refused(spoiler):
    ((_, message),) = spoiler()(joints())
    with pytest.raises(UnreadableMessageError):
        JointOrder("abcd").positions(message)


def test_no_two_scenarios_share_a_name_and_the_quick_ones_are_some_of_them():
    names = [scenario.name for group in GROUPS.values() for scenario in group]
    assert len(set(names)) == len(names)
    assert 0 < len(chosen_scenarios(quick=True)) < len(chosen_scenarios(quick=False)) == len(names)
