"""Controllers' reports of what they command, as messages: ros2_control's `controller_state`, or `reference` of the simulated robot."""

from collections.abc import Sequence
from importlib import import_module

import numpy as np
from trajectory_msgs.msg import JointTrajectoryPoint

from dial_core.robot.embodiment import Controller


def controller_state_type() -> type | None:
    """control_msgs' JointTrajectoryControllerState, where control_msgs is installed."""
    try:
        return import_module("control_msgs.msg").JointTrajectoryControllerState
    except ImportError:
        return None


def own_positions(controller: Controller, joint_names: Sequence[str], point: JointTrajectoryPoint) -> np.ndarray | None:
    """Positions (J',) [rad] of a controller's joints, in its order, by a report about `joint_names`; None: it lacks one of them."""
    place = {name: k for k, name in enumerate(joint_names)}
    if not set(controller.joints) <= set(place) or len(point.positions) != len(joint_names):
        return None
    return np.array(point.positions)[[place[name] for name in controller.joints]]
