"""A motion of all joints as the controllers' messages."""

import numpy as np

from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRequest
from dial_core.control.motion import JointMotion, to_ns
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.trajectory import TrajectorySplitter, set_points_to_message

EMBODIMENT = load_embodiment("gr1")
STAMP_NS = 12_345_678_901


def motion():
    rng = np.random.default_rng(0)
    times_s = np.array([0.001, 0.05, 0.1, 0.2])
    velocities = rng.normal(size=(4, 29))
    velocities[-1] = 0.0
    return JointMotion(STAMP_NS, times_s, rng.normal(size=(4, 29)), velocities)


def test_every_controller_gets_exactly_its_joints_and_the_observation_stamp():
    messages = TrajectorySplitter(EMBODIMENT).messages(motion())
    assert list(messages) == [c.name for c in EMBODIMENT.controllers]
    for controller in EMBODIMENT.controllers:
        message = messages[controller.name]
        assert tuple(message.joint_names) == controller.joints
        assert to_ns(message.header.stamp) == STAMP_NS
        assert [p.time_from_start.nanosec for p in message.points] == [1_000_000, 50_000_000, 100_000_000, 200_000_000]


def test_the_controllers_play_the_motion_as_it_was_meant():
    wanted = motion()
    messages = TrajectorySplitter(EMBODIMENT).messages(wanted)
    for controller in EMBODIMENT.controllers:
        played = JointTrajectoryController(controller, np.zeros(len(controller.joints)))
        played.accept(TrajectoryRequest.from_message(messages[controller.name]), STAMP_NS + 10_000_000)
        index = [EMBODIMENT.joint_names.index(name) for name in controller.joints]
        for time_ns in range(STAMP_NS + 10_000_000, STAMP_NS + 250_000_000, 10_000_000):
            np.testing.assert_allclose(played.sample(time_ns), wanted.sample(time_ns)[0][index], atol=1e-9)


def test_set_points_of_a_slice_become_one_message_with_a_point_each():
    positions = np.array([[0.1, 0.2], [0.3, 0.4]])
    message = set_points_to_message(("a", "b"), 1_500_000_000, (1_000_000, 2_000_000), positions)
    assert message.joint_names == ["a", "b"]
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, 500_000_000)
    assert [list(point.positions) for point in message.points] == positions.tolist()
    assert [point.time_from_start.nanosec for point in message.points] == [1_000_000, 2_000_000]
