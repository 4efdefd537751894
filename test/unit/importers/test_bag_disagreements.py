"""Bags whose parts speak of two robots, and cameras that see nothing: refused or said, never silently taken.

pytest test/unit/importers/test_bag_disagreements.py
"""

import numpy as np
import pytest

from dial_core.bags.synthetic import IMAGE, JOINTS, MS, ROBOT, image_bytes, joint_bytes, record
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import BagConversion, convert_bags

from .recordings import JOINT_STATE, START_NS, camera_and_joints, write


def convert(tmp_path, folder):
    return convert_bags([folder], tmp_path / "out", BagConversion(instruction="x"), workers=0).jobs[0]


def of_another(publishes):
    """The usual bag, with messages of a joint_state_publisher that was left running and says that the robot stands still."""
    another = [(JOINTS, JOINT_STATE, ns + MS, joint_bytes(ns - MS, still=True)) for ns in map(START_NS.__add__, publishes)]
    return camera_and_joints() + another


def test_two_publishers_of_the_same_joints_that_disagree_are_refused_with_the_joint(tmp_path):
    folder = write(tmp_path / "bag", of_another(range(5 * MS, 5000 * MS, 10 * MS)))
    with pytest.raises(DialError, match=r"/joint_states jump: r_elbow_pitch by 0\.\d+ rad within 0\.\d+ s.*two publishers"):
        convert(tmp_path, folder)


@pytest.mark.parametrize("at_ms", [(4005,), (1505, 2505, 3505, 4005)], ids=["one", "four"])
def test_single_joint_states_from_elsewhere_cost_no_bag(tmp_path, at_ms):
    job = convert(tmp_path, write(tmp_path / "bag", of_another([ms * MS for ms in at_ms])))
    assert job.episodes


@pytest.mark.parametrize(("brightest", "said"), [(15, True), (60, False)])
def test_frames_that_are_black_are_warned_of(tmp_path, brightest, said):
    """A 12-bit sensor in 16 bits, or a lens cap."""

    def change(topic, at_ns, data):
        if topic != IMAGE:
            return data
        pixels = np.zeros((96, 96, 3), np.uint8)
        pixels[at_ns // (50 * MS) % 96] = brightest
        return image_bytes(START_NS + at_ns, pixels)

    job = convert(tmp_path, record(tmp_path / "bag", change=change))
    assert any(f"{IMAGE} is dark" in remark for remark in job.remarks) == said
    assert any(f"{IMAGE} is dark" in warning for warning in job.details["warnings"]) == said


def test_the_embodiments_speed_is_no_disagreement(tmp_path):
    assert ROBOT.velocity.min() > 0
    assert convert(tmp_path, record(tmp_path / "bag")).episodes
