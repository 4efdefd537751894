"""A motion of all joints as the controllers' messages."""

import numpy as np

from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRequest
from dial_core.control.motion import JointMotion, to_ns
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.trajectory import TrajectorySplitter

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
