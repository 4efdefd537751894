"""Recorders whose clock is not the robot's: commands are dated by the log time, joints by their stamps.

pytest test/unit/importers/test_bag_clock_offsets.py
"""

import numpy as np
import pytest

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import COMMANDS, CONTROLLER, ELBOW, IMAGE, JOINTS, MS, ROBOT, cdr, elbow, image_bytes, joint_bytes
from dial_core.importers.bag.bag_report import examine, remarks_on
from dial_core.importers.bag.resampling import Resampling, resample
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams

from .recordings import IMAGE_TYPE, JOINT_STATE, START_NS, TRAJECTORY, arm_at, trajectory, write


def unstamped(time_s):
    """A command without a stamp, 50 ms ahead."""
    return trajectory(0, CONTROLLER.joints, [(0.05, arm_at(time_s + 0.05), [])])


def stamped(time_s):
    """As `unstamped`, with the robot's time in the header."""
    return trajectory(round(time_s * 1e9), CONTROLLER.joints, [(0.05, arm_at(time_s + 0.05), [])])


def recorded(folder, sensors_ms, commands_ms, command=unstamped):
    """5 s whose joints and images are logged `sensors_ms` after their stamps, and commands `commands_ms` after they were sent [ms]."""
    messages = []
    for ms in range(0, 5000, 10):
        stamp_ns = START_NS + ms * MS
        log_ns = stamp_ns + round((sensors_ms + 2) * MS)
        messages.append((JOINTS, JOINT_STATE, log_ns, joint_bytes(stamp_ns)))
        if ms % 50 == 0:
            messages.append((IMAGE, IMAGE_TYPE, log_ns, image_bytes(stamp_ns)))
            messages.append((COMMANDS, TRAJECTORY, stamp_ns + round((commands_ms + 2) * MS), cdr(TRAJECTORY, command(stamp_ns / 1e9))))
    return write(folder, messages)


def converted(folder, **settings):
    """The elbow's actions by time, remarks and warnings."""
    bag = Bag(folder)
    streams = find_streams(bag, ROBOT, ROBOT.cameras)
    timeline = read_timeline(bag, streams, ROBOT)
    found = resample(timeline, ROBOT, Resampling(lead_s=9.0, tail_s=9.0, **settings))
    warnings = examine("bag", ["e"], "x", bag, streams, timeline, found, ROBOT, 0).warnings
    (piece,) = found.pieces
    return piece.targets[:, ELBOW], " ".join(remarks_on(timeline, found)), " ".join(warnings)


@pytest.fixture(scope="module")
def in_time(tmp_path_factory):
    """The elbow's actions where all clocks are one."""
    actions, remarks, warnings = converted(recorded(tmp_path_factory.mktemp("in_time") / "bag", 0, 0))
    assert (remarks, "clock" in warnings) == ("", False)
    return actions


@pytest.mark.parametrize("form", [unstamped, stamped], ids=["unstamped", "stamped"])
@pytest.mark.parametrize("offset_ms", [-190, 90, 190, 900, 3000])
def test_commands_are_dated_by_the_clock_of_the_joints(tmp_path, in_time, offset_ms, form):
    actions, remarks, _ = converted(recorded(tmp_path / "bag", offset_ms, offset_ms, form))
    assert actions == pytest.approx(in_time, abs=0.02)  # 0.25 rad/s
    if form is unstamped:
        side = "behind" if offset_ms < 0 else "ahead of"
        assert f"the recorder's clock is {abs(offset_ms + 2) / 1e3:.2f} s {side} the stamps of joints and cameras" in remarks


def test_sensors_behind_a_slow_network_are_no_other_clock_and_are_warned_of(tmp_path, in_time):
    """The commands show no delay: they come before the motion as they should."""
    actions, remarks, warnings = converted(recorded(tmp_path / "bag", 120, 0))
    assert actions == pytest.approx(in_time, abs=1e-6)
    assert remarks == ""
    assert "clock offset or latency: joints and cameras were received 0.12 s after their stamps" in warnings


def test_a_slow_camera_beside_prompt_joints_is_no_clock_offset(tmp_path, in_time):
    folder = recorded(tmp_path / "bag", 0, 0)
    prompt = [(topic, log_ns, data) for topic, log_ns, data in Bag(folder).messages([IMAGE, JOINTS, COMMANDS])]
    kinds = {IMAGE: IMAGE_TYPE, JOINTS: JOINT_STATE, COMMANDS: TRAJECTORY}
    late = [(topic, kinds[topic], log_ns + 100 * MS * (topic == IMAGE), data) for topic, log_ns, data in prompt]
    actions, remarks, warnings = converted(write(tmp_path / "late", late))
    assert actions == pytest.approx(in_time, abs=1e-6)
    assert (remarks, "clock" in warnings) == ("", False)


def test_commands_that_come_after_the_motion_by_one_clock_are_remarked(tmp_path):
    """As of a program that repeats measured joints as commands."""
    _, remarks, _ = converted(recorded(tmp_path / "bag", 0, 250))
    assert f"the commands of {CONTROLLER.name} come 0.20 s after its joints' own motion" in remarks


def test_a_refusal_names_the_clock_offset(tmp_path):
    def inverted(time_s):
        positions = arm_at(time_s)
        place = CONTROLLER.joints.index("r_elbow_pitch")
        positions[place] = 2 * elbow(0.0) - positions[place]
        return trajectory(0, CONTROLLER.joints, [(0.05, positions, [])])

    folder = recorded(tmp_path / "bag", 900, 900, inverted)
    with pytest.raises(BagError, match=r"moved otherwise than its commands say .*the recorder's clock is 0\.90 s ahead of the stamps"):
        converted(folder)
    assert np.isfinite(converted(folder, actions="next")[0]).all()
