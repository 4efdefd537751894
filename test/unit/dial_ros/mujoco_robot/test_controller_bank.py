"""All controllers of the simulated robot together."""

import numpy as np
import pytest

from dial_core.control.motion import JointMotion
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.mujoco_robot.controller_bank import ControllerBank
from dial_ros.node.trajectory import TrajectorySplitter

EMBODIMENT = load_embodiment("gr1")
HOME = EMBODIMENT.home_position
MS = 1_000_000
ARM = "right_arm_controller"


def bank():
    made = ControllerBank(EMBODIMENT)
    made.hold(HOME, 0)
    return made


def message(stamp_ms=0, shift=0.1):
    motion = JointMotion(stamp_ms * MS, np.array([0.1]), HOME[None] + shift, np.zeros((1, 29)))
    return TrajectorySplitter(EMBODIMENT).messages(motion)[ARM]


def test_a_trajectory_moves_its_controllers_joints_only():
    controllers = bank()
    assert controllers.accept(ARM, message()) == ""
    moved = controllers.advance(200 * MS) - HOME
    mine = [name in next(c for c in EMBODIMENT.controllers if c.name == ARM).joints for name in EMBODIMENT.joint_names]
    np.testing.assert_allclose(moved, np.where(mine, 0.1, 0.0), atol=1e-12)
    assert (controllers.accepted, controllers.rejected) == (1, 0)


def test_a_rejection_is_counted_and_reported():
    controllers = bank()
    controllers.advance(500 * MS)
    assert "in the past" in controllers.accept(ARM, message(stamp_ms=1))
    assert controllers.rejected == 1
    assert "in the past" in controllers.last_rejection


def test_a_trajectory_from_before_a_reset_is_outdated_which_is_no_rejection():
    controllers = bank()
    controllers.advance(900 * MS)
    controllers.hold(HOME, 0)
    controllers.advance(100 * MS)
    assert controllers.accept(ARM, message(stamp_ms=850)) == ""
    assert (controllers.accepted, controllers.rejected, controllers.outdated) == (0, 0, 1)
    np.testing.assert_array_equal(controllers.advance(950 * MS), HOME)
    assert controllers.accept(ARM, message(stamp_ms=940)) == ""
    assert (controllers.accepted, controllers.outdated) == (1, 1)


def test_after_several_resets_the_latest_published_time_decides_what_is_outdated():
    controllers = bank()
    for before_ms in (900, 50):
        controllers.advance(before_ms * MS)
        controllers.hold(HOME, 0)
    controllers.accept(ARM, message(stamp_ms=850))
    assert controllers.outdated == 1


def test_without_a_reset_a_stamp_of_the_future_is_taken_as_the_real_controller_does():
    controllers = bank()
    assert controllers.accept(ARM, message(stamp_ms=600)) == ""
    assert (controllers.accepted, controllers.outdated) == (1, 0)


def test_a_reset_drops_the_running_motion():
    controllers = bank()
    controllers.accept(ARM, message())
    controllers.hold(HOME, 0)
    np.testing.assert_array_equal(controllers.advance(200 * MS), HOME)


def test_positions_that_are_not_finite_stop_the_world_with_the_joints_names():
    controllers = bank()
    controllers.accept(ARM, message(shift=np.nan))
    with pytest.raises(DialError, match="not finite: r_shoulder_pitch"):
        controllers.advance(50 * MS)


def test_an_inactive_controller_stops_where_it_is_commanded_and_ignores_trajectories_until_it_is_active_again():
    controllers = bank()
    controllers.accept(ARM, message())
    stopped = controllers.advance(50 * MS)
    controllers.set_active(ARM, False)
    assert ARM not in controllers.references()
    assert controllers.accept(ARM, message(shift=0.5)) == ""
    np.testing.assert_array_equal(controllers.advance(200 * MS), stopped)
    assert controllers.ignored == 1
    controllers.set_active(ARM, True)
    assert controllers.references()[ARM][0] is None
    controllers.accept(ARM, message(stamp_ms=200))
    assert np.abs(controllers.advance(400 * MS) - stopped).max() > 0.01


def test_at_a_higher_rate_every_update_of_a_slice_is_returned():
    controllers = ControllerBank(EMBODIMENT, 1000)
    controllers.hold(HOME, 0)
    controllers.accept(ARM, message())
    updates_ns, set_points = controllers.advance_through(0, 10 * MS)
    assert list(updates_ns) == [k * MS for k in range(1, 11)]
    assert set_points.shape == (10, len(HOME))
    assert (np.abs(np.diff(set_points, axis=0)).max(axis=1) > 0).all()


def test_a_rate_that_does_not_fit_into_the_slices_is_refused():
    with pytest.raises(DialError, match="controller_rate_hz is 250"):
        ControllerBank(EMBODIMENT, 250)
