"""A controller that moves by what System-1 did not send: it is named, and nothing is spliced into it until it rests.

Each case with the public report that tells of it, where there is one.
"""

import numpy as np
import pytest

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion import JointMotion
from dial_core.control.robot_clock import RobotClock
from dial_core.control.send_conditions import SpliceMissedError

from .reporting_world import S, follow_chunks, reporting
from .test_arrival import GR1, GUARD, MS, restless


def test_it_is_named_until_it_rests():
    execution = ExecutedMotion({"arm": [0, 1], "hand": [2]}, ("a", "b", "c"), max_divergence_rad=0.3)
    sent = JointMotion.standing(S, np.zeros(3))
    execution.sent(sent, round(1.1 * S), round(1.15 * S))
    for time_s, position, moved in ((1.2, 0.5, []), (1.3, 0.5001, ["arm"]), (1.4, 0.5001, []), (1.5, 0.6, ["arm"])):
        execution.note_reference("arm", round(time_s * S), None, np.full(2, position))
        assert execution.moved_by_others(round(time_s * S)) == moved
    assert execution.moved_by_others(3 * S) == [], "it has stopped reporting"
    execution.note_reference("arm", round(3.1 * S), sent.origin_ns, np.zeros(2))
    assert execution.moved_by_others(round(3.1 * S)) == [], "it moves by what was sent"


def test_no_chunk_is_sent_meanwhile():
    world, plan = reporting(transport_ms=10)
    follow_chunks(world, plan, 4)
    published = world.published
    for k, position in enumerate((0.3, 0.31)):
        plan.execution.note_reference("arm", world.time_ns + k * MS, 17, np.full(29, position))
    with pytest.raises(SpliceMissedError, match="arm moves by what was not sent"):
        plan.follow(restless(np.random.default_rng(1), 1.0), world.time_ns - 50 * MS, GR1.home_position, world)
    assert world.published == published


def test_a_controller_that_drops_its_trajectory_and_holds_where_the_joints_are_is_continued_there():
    """ros-controls/ros2_controllers#558: set_hold_position after a violated tolerance; #1241: both trajectories are dropped."""
    world, plan = reporting(transport_ms=10)
    follow_chunks(world, plan, 4)
    held = np.maximum(world.arm.command[0] - 0.02, GUARD.lower)  # the joints lag behind the set-points
    world.arm.hold(held)
    world.stamps_ns, world.set_points = [], []
    follow_chunks(world, plan, 8)
    assert world.arm.origin_ns is not None, "it plays chunks again"
    assert world.use().kept, world.use()


def test_a_controller_that_is_slowed_down_is_no_controller_at_rest():
    """UniversalRobots' scaled_joint_trajectory_controller: the reference lags behind the trajectory that it plays."""
    execution = ExecutedMotion({"arm": [0, 1], "hand": [2]}, ("a", "b", "c"), max_divergence_rad=0.3)
    sent = JointMotion(
        S, np.array([0.001, 2.0, 3.0]), np.array([[0.0] * 3, [2.0] * 3, [2.0] * 3]), np.array([[1.0] * 3, [1.0] * 3, [0.0] * 3])
    )
    execution.sent(sent, round(1.1 * S), round(1.15 * S))
    for k in range(150):
        time_ns = round(1.2 * S) + 10 * k * MS
        execution.note_reference("hand", time_ns, sent.origin_ns, sent.sample(time_ns)[0][[2]])
        execution.note_reference("arm", time_ns, sent.origin_ns, 0.5 * sent.sample(time_ns)[0][:2])
    assert execution.moved_by_others(time_ns) == ["arm"]
    assert list(execution.diverged(sent, time_ns)) == ["arm"], "System-1 disarms"


def test_joint_states_without_a_stamp_give_no_robot_time():
    """aliasrobotics/RVD#529: a driver that leaves the stamp of its joint states at zero."""
    clock, own_ns = RobotClock(simulated=False), 1_795_000_000 * S
    for k in range(200):
        clock.note_joint_state(0, own_ns + 10 * k * MS, 10 * k * MS)
    robot_ns = clock.robot_ns(own_ns + 2 * S, 2 * S)
    assert robot_ns is None or abs(clock.offset_s) > 0.5, "`clock` is missing, as for any two clocks so far apart"
