"""The emulated joint_trajectory_controller: what it accepts and rejects, and where the joints should be."""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.embodiment import Controller
from dial_ros.joint_trajectory_controller import JointTrajectoryController, TrajectoryRejectedError, TrajectoryRequest

MS = 1_000_000
GOOD = TrajectoryRequest(
    joint_names=("a", "b"),
    stamp_ns=1000 * MS,
    times_ns=(50 * MS, 100 * MS, 150 * MS),
    positions=((0.1, 1.0), (0.2, 1.0), (0.25, 1.0)),
    velocities=((2.0, 0.0), (2.0, 0.0), (0.0, 0.0)),
)
NOW_NS = 1020 * MS


def controller(position=(0.0, 1.0)):
    return JointTrajectoryController(Controller(name="arm_controller", joints=("a", "b")), np.array(position))


BREACHES = {
    "joints do not match": {"joint_names": ("a", "c")},
    "joint named twice": {"joint_names": ("a", "b", "b")},
    "empty trajectory": {"times_ns": (), "positions": (), "velocities": ()},
    "in the past": {"stamp_ns": 800 * MS},
    "last trajectory point is not zero": {"velocities": ((2.0, 0.0), (2.0, 0.0), (0.1, 0.0))},
    "times between points must increase": {"times_ns": (50 * MS, 50 * MS, 150 * MS)},
    "point 1 has 1 positions": {"positions": ((0.1, 1.0), (0.2,), (0.25, 1.0))},
    "efforts are not supported": {"efforts": ((1.0, 1.0), (), ())},
}


@pytest.mark.parametrize("words", BREACHES)
def test_a_broken_rule_is_rejected_by_name_and_what_runs_goes_on(words):
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    with pytest.raises(TrajectoryRejectedError, match=words):
        arm.accept(replace(GOOD, **BREACHES[words]), NOW_NS)
    np.testing.assert_allclose(arm.sample(1100 * MS), [0.2, 1.0])


def test_points_are_reached_at_the_stamp_plus_their_time_and_the_last_is_held():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    for time_ms, expected in ((1050, 0.1), (1100, 0.2), (1150, 0.25), (9000, 0.25)):
        assert arm.sample(time_ms * MS)[0] == pytest.approx(expected)


def test_before_the_first_point_it_comes_from_where_it_was():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    assert arm.sample(NOW_NS)[0] == pytest.approx(0.0)
    assert 0.0 < arm.sample(1035 * MS)[0] < 0.1


def test_points_that_are_past_are_skipped():
    arm = controller()
    arm.accept(GOOD, 1080 * MS)
    # Between the knots at 50 and 100 ms the cubic is the straight line of 2 rad/s.
    assert arm.sample(1080 * MS)[0] == pytest.approx(0.16)


def test_joints_are_matched_by_name():
    arm = controller()
    swapped = replace(
        GOOD,
        joint_names=("b", "a"),
        positions=tuple(p[::-1] for p in GOOD.positions),
        velocities=tuple(v[::-1] for v in GOOD.velocities),
    )
    arm.accept(swapped, NOW_NS)
    np.testing.assert_allclose(arm.sample(1100 * MS), [0.2, 1.0])


def test_stamp_zero_starts_when_it_arrives():
    arm = controller()
    arm.accept(replace(GOOD, stamp_ns=0), 5000 * MS)
    assert arm.sample(5100 * MS)[0] == pytest.approx(0.2)


def test_without_velocities_it_goes_straight():
    arm = controller()
    arm.accept(replace(GOOD, velocities=((), (), ())), NOW_NS)
    assert arm.sample(1075 * MS)[0] == pytest.approx(0.15)


def test_a_new_trajectory_replaces_the_running_one():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    arm.sample(1060 * MS)
    stop = replace(GOOD, stamp_ns=1060 * MS, times_ns=(100 * MS,), positions=((0.12, 1.0),), velocities=((0.0, 0.0),))
    arm.accept(stop, 1060 * MS)
    assert arm.sample(1200 * MS)[0] == pytest.approx(0.12)
