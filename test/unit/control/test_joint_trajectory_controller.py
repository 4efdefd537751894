"""The emulated joint_trajectory_controller, case by case against the rules of ros2_controllers that the interface lists.

The rules, in the order of "What a JointTrajectory chunk must be": 1 joints, 2 stamps, 3 times, 4 interpolation, 5 the last
velocity, 6 replacing, 7 what is not checked, 8 the empty trajectory.
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRejectedError, TrajectoryRequest
from dial_core.robot.embodiment import Controller

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


REJECTED = {
    # rule 1: exactly the controller's joints
    "an unknown joint": ({"joint_names": ("a", "c")}, "joints do not match the controller's: b, c"),
    "a joint missing": (
        {"joint_names": ("a",), "positions": ((0.1,), (0.2,), (0.2,)), "velocities": ((2.0,), (2.0,), (0.0,))},
        "joints do not match the controller's: b",
    ),
    "a joint too many": ({"joint_names": ("a", "b", "c")}, "joints do not match the controller's: c"),
    "a joint named twice and none missing": ({"joint_names": ("a", "b", "b")}, "joint named twice"),
    "no joints": ({"joint_names": ()}, "joints do not match"),
    "a point with too few positions": ({"positions": ((0.1, 1.0), (0.2,), (0.25, 1.0))}, "point 1 has 1 positions"),
    "a point without positions": ({"positions": ((0.1, 1.0), (), (0.25, 1.0))}, "point 1 has 0 positions"),
    "a point with too few accelerations": ({"accelerations": ((), (0.0,), ())}, "point 1 has 1 accelerations for 2 joints"),
    "a point with too many velocities": (
        {"velocities": ((2.0, 0.0, 1.0), (2.0, 0.0), (0.0, 0.0))},
        "point 0 has 3 velocities for 2 joints",
    ),
    # rule 2: the whole of it past
    "a last point that is past": ({"stamp_ns": 869 * MS}, "its last point lies 0.001 s in the past"),
    "a stamp of long ago": ({"stamp_ns": 10 * MS}, "in the past"),
    "a negative stamp": ({"stamp_ns": -MS, "times_ns": (1950 * MS, 2000 * MS, 2050 * MS)}, "stamp is negative"),
    # rule 3: strictly increasing times
    "two points at one time": ({"times_ns": (50 * MS, 50 * MS, 150 * MS)}, "times between points must increase"),
    "points in the wrong order": ({"times_ns": (100 * MS, 50 * MS, 150 * MS)}, "times between points must increase"),
    # rule 5: it must end at rest
    "an end in motion": ({"velocities": ((2.0, 0.0), (2.0, 0.0), (0.1, 0.0))}, "velocity of the last trajectory point is not zero"),
    "an end hardly in motion": (
        {"velocities": ((2.0, 0.0), (2.0, 0.0), (0.0, -2e-7))},
        "velocity of the last trajectory point is not zero",
    ),
    # rule 8: an empty one does not stop it
    "no points": ({"times_ns": (), "positions": (), "velocities": ()}, "empty trajectory received"),
    "efforts": ({"efforts": ((1.0, 1.0), (), ())}, "efforts are not supported"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_broken_rule_is_rejected_by_name_and_the_running_trajectory_continues(case):
    breach, words = REJECTED[case]
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    with pytest.raises(TrajectoryRejectedError, match=words):
        arm.accept(replace(GOOD, **breach), NOW_NS)
    np.testing.assert_allclose(arm.sample(1100 * MS), [0.2, 1.0])


def test_rule_1_a_joint_named_twice_passes_and_the_one_that_is_missing_keeps_what_was_there():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    # After GOOD the buffer that sorts rows holds its last row of velocities, (0, 0).
    arm.accept(replace(GOOD, joint_names=("a", "a")), NOW_NS)
    np.testing.assert_allclose(arm.sample(1100 * MS), [1.0, 0.0])


def test_rule_1_joints_are_matched_by_name_in_any_order():
    arm = controller()
    swapped = replace(
        GOOD,
        joint_names=("b", "a"),
        positions=tuple(p[::-1] for p in GOOD.positions),
        velocities=tuple(v[::-1] for v in GOOD.velocities),
    )
    arm.accept(swapped, NOW_NS)
    np.testing.assert_allclose(arm.sample(1100 * MS), [0.2, 1.0])


def test_rule_2_points_are_reached_at_the_stamp_plus_their_time_and_the_last_is_held():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    for time_ms, expected in ((1050, 0.1), (1100, 0.2), (1150, 0.25), (9000, 0.25)):
        assert arm.sample(time_ms * MS)[0] == pytest.approx(expected)


def test_rule_2_points_that_are_past_are_skipped_which_compensates_the_latency():
    arm = controller()
    arm.accept(GOOD, 1080 * MS)
    # Between the knots at 50 and 100 ms the cubic is the straight line of 2 rad/s.
    assert arm.sample(1080 * MS)[0] == pytest.approx(0.16)


def test_rule_2_a_trajectory_whose_last_point_is_now_is_still_taken():
    arm = controller()
    arm.accept(GOOD, 1150 * MS)
    assert arm.sample(1150 * MS)[0] == pytest.approx(0.25)


def test_rule_2_a_stamp_of_the_future_is_come_to_from_where_the_joints_are():
    arm = controller()
    arm.accept(replace(GOOD, stamp_ns=1200 * MS), NOW_NS)
    assert arm.sample(NOW_NS)[0] == pytest.approx(0.0)
    assert 0.0 < abs(arm.sample(1150 * MS)[0]) < 0.1
    assert arm.sample(1250 * MS)[0] == pytest.approx(0.1)


def test_rule_2_stamp_zero_starts_when_it_arrives_so_the_latency_is_replayed():
    arm = controller()
    arm.accept(replace(GOOD, stamp_ns=0), 5000 * MS)
    assert arm.sample(5100 * MS)[0] == pytest.approx(0.2)


def test_rule_2_the_state_before_a_first_point_that_lies_ahead_is_dated_one_period_back():
    arm = JointTrajectoryController(Controller(name="arm_controller", joints=("a", "b")), np.array([0.0, 1.0]), period_ns=10 * MS)
    arm.accept(GOOD, 1000 * MS)
    arm.sample(1100 * MS)
    np.testing.assert_allclose(arm.command[1], [2.0, 0.0], atol=1e-12, err_msg="exactly on a point it has the point's velocity")
    late = replace(GOOD, stamp_ns=1400 * MS, times_ns=(100 * MS,), positions=((0.2, 1.0),), velocities=((0.0, 0.0),))
    arm.accept(late, 1100 * MS)
    # From 0.2 rad with 2 rad/s, dated 1090 ms, back to 0.2 rad at 1500 ms: it coasts far beyond.
    h, t = 0.41, 0.11
    assert arm.sample(1200 * MS)[0] == pytest.approx(0.2 + 2.0 * t * (1 - t / h) ** 2)
    assert max(arm.sample(time_ms * MS)[0] for time_ms in range(1210, 1500)) > 0.3


def test_rule_2_while_its_clock_is_set_back_it_commands_nothing_new():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    arm.sample(1100 * MS)
    arm.accept(replace(GOOD, stamp_ns=1100 * MS), 1100 * MS)
    assert arm.sample(500 * MS)[0] == pytest.approx(0.2)


def test_rule_3_a_first_point_before_the_stamp_passes():
    arm = controller()
    arm.accept(replace(GOOD, times_ns=(-50 * MS, 100 * MS, 150 * MS)), 1000 * MS)
    assert arm.sample(1100 * MS)[0] == pytest.approx(0.2)


def test_rule_3_a_first_point_at_the_stamp_itself_is_taken():
    arm = controller()
    arm.accept(replace(GOOD, times_ns=(0, 100 * MS, 150 * MS)), 1000 * MS)
    assert arm.sample(1100 * MS)[0] == pytest.approx(0.2)


def test_rule_4_with_velocities_it_is_a_cubic_and_before_the_first_point_it_comes_from_where_it_was():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    assert arm.sample(NOW_NS)[0] == pytest.approx(0.0)
    assert 0.0 < arm.sample(1035 * MS)[0] < 0.1
    # From (0.2, 2 rad/s) to (0.25, 0) in 50 ms; the middle of the cubic is (p0 + p1) / 2 + (v0 - v1) h / 8.
    assert arm.sample(1125 * MS)[0] == pytest.approx(0.225 + 2.0 * 0.05 / 8)


def test_rule_4_without_velocities_it_goes_straight():
    arm = controller()
    arm.accept(replace(GOOD, velocities=((), (), ())), NOW_NS)
    assert arm.sample(1075 * MS)[0] == pytest.approx(0.15)


def test_rule_4_with_accelerations_too_it_is_a_quintic():
    arm = controller()
    arm.accept(replace(GOOD, accelerations=((3.0, 0.0), (-5.0, 0.0), (0.0, 0.0))), NOW_NS)
    # The polynomial of degree 5 through both ends' position, velocity and acceleration, solved independently.
    h = 0.05
    powers = [[x**k for k in range(6)] for x in (0, h)]
    slopes = [[k * x ** max(k - 1, 0) for k in range(6)] for x in (0, h)]
    bends = [[k * (k - 1) * x ** max(k - 2, 0) for k in range(6)] for x in (0, h)]
    coefficients = np.linalg.solve(np.array(powers + slopes + bends), [0.1, 0.2, 2.0, 2.0, 3.0, -5.0])
    for t in (0.0, 0.01, 0.03, 0.049):
        assert arm.sample(1050 * MS + round(t * 1000) * MS)[0] == pytest.approx(np.polyval(coefficients[::-1], t), abs=1e-12)
        assert arm.command[1][0] == pytest.approx(np.polyval(np.polyder(coefficients[::-1]), t), abs=1e-9)


def test_rule_4_accelerations_without_velocities_are_accepted_and_command_zero():
    arm = controller()
    arm.accept(replace(GOOD, velocities=((), (), ()), accelerations=((1.0, 0.0),) * 3), NOW_NS)
    np.testing.assert_array_equal(arm.sample(1075 * MS), [0.0, 0.0])


def test_rule_6_a_new_trajectory_hard_replaces_the_running_one():
    arm = controller()
    arm.accept(GOOD, NOW_NS)
    arm.sample(1060 * MS)
    stop = replace(GOOD, stamp_ns=1060 * MS, times_ns=(100 * MS,), positions=((0.12, 1.0),), velocities=((0.0, 0.0),))
    arm.accept(stop, 1060 * MS)
    assert arm.sample(1200 * MS)[0] == pytest.approx(0.12)


def test_rule_6_one_that_begins_with_the_running_motion_is_not_felt():
    whole, cut = controller(), controller()
    for arm in (whole, cut):
        arm.accept(GOOD, NOW_NS)
        arm.sample(1060 * MS)
    # The rest of GOOD, sent again from the observation at 1060 ms on: its first point lies on the running line.
    rest = replace(
        GOOD,
        stamp_ns=1060 * MS,
        times_ns=(1 * MS, 40 * MS, 90 * MS),
        positions=((0.122, 1.0), (0.2, 1.0), (0.25, 1.0)),
    )
    cut.accept(rest, 1070 * MS)
    for time_ms in range(1070, 1160, 5):
        np.testing.assert_allclose(cut.sample(time_ms * MS), whole.sample(time_ms * MS), atol=1e-12)


def test_rule_7_neither_limits_nor_nan_are_checked():
    arm = controller()
    arm.accept(replace(GOOD, positions=((0.1, 1.0), (99.0, np.nan), (0.25, 1.0))), NOW_NS)
    assert arm.sample(1100 * MS)[0] == pytest.approx(99.0)
    assert np.isnan(arm.sample(1100 * MS)[1])
