"""Trajectories that another commander publishes."""

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_ros.faults.controller_faults import ARM
from dial_ros.faults.graph_under_test import EMBODIMENT
from dial_ros.node.messages import to_duration


def rest_to_rest(set_points: np.ndarray, distance_rad: float, duration_s: float) -> JointTrajectory:
    """A trajectory of the arm from where it is commanded, every joint by a distance towards the middle of its range."""
    joints = next(controller.joints for controller in EMBODIMENT.controllers if controller.name == ARM)
    columns = EMBODIMENT.indices(joints)
    middle = (EMBODIMENT.lower + EMBODIMENT.upper)[columns] / 2
    targets = set_points[columns] + distance_rad * np.sign(middle - set_points[columns])
    point = JointTrajectoryPoint(positions=targets.tolist(), velocities=[0.0] * len(joints), time_from_start=to_duration(duration_s))
    return JointTrajectory(joint_names=list(joints), points=[point])
