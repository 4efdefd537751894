"""Checks that a robot is the one its embodiment describes, by the joints it reports and by its URDF.

Each function returns what does not fit, in words and by controller; an empty text if all does.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.urdf import RobotDescription

TOLERANCE = 1e-3  # [rad], [rad/s], [rad/s^2]: limits that differ by less were rounded when the one was written from the other


def missing_from_states(embodiment: Embodiment, reported: Sequence[str]) -> str:
    """What joint states that name `reported` lack; more joints than the embodiment's do no harm."""
    there = set(reported)
    lacking = _by_controller(embodiment, {name: "" for name in embodiment.joint_names if name not in there})
    others = [name for name in reported if name not in set(embodiment.joint_names)]
    return lacking and f"joint_states lack {lacking}; their other joints: {', '.join(others) or 'none'}; check the names in the YAML"


def missing_from_description(embodiment: Embodiment, robot: RobotDescription) -> str:
    """Which joints the URDF lacks, and which it does not let a controller move."""
    unmoved = {name: robot.unmoved[name] for name in embodiment.joint_names if name in robot.unmoved}
    lacking = {name: "" for name in embodiment.joint_names if name not in robot.limits and name not in unmoved}
    found = []
    if lacking:
        others = [name for name in robot.limits if name not in set(embodiment.joint_names)]
        found.append(f"robot_description lacks {_by_controller(embodiment, lacking)}; its other joints: {', '.join(others) or 'none'}")
    if unmoved:
        found.append(f"robot_description has joints that no controller can move: {_by_controller(embodiment, unmoved)}")
    return "; ".join(found)


def limits_beyond(embodiment: Embodiment, guard: Guard, robot: RobotDescription) -> str:
    """Where the limits in use (`guard`) are wider than those of the URDF, which has every joint of the embodiment.

    Of acceleration too: the guard narrows to the URDF's, and would refuse what is made within the wider ones.
    """
    own = [robot.limits[name] for name in embodiment.joint_names]
    lower, upper = np.array([joint.lower for joint in own]), np.array([joint.upper for joint in own])
    fastest, hardest = np.array([joint.velocity for joint in own]), np.array([joint.acceleration for joint in own])
    beyond = {}
    for j, name in enumerate(embodiment.joint_names):
        if guard.lower[j] < lower[j] - TOLERANCE or guard.upper[j] > upper[j] + TOLERANCE:
            beyond[name] = f"{guard.lower[j]:.3f} to {guard.upper[j]:.3f} rad, the robot's {lower[j]:.3f} to {upper[j]:.3f}"
        elif guard.velocity[j] > fastest[j] + TOLERANCE:
            beyond[name] = f"{guard.velocity[j]:.3f} rad/s, the robot's {fastest[j]:.3f}"
        elif guard.acceleration[j] > hardest[j] + TOLERANCE:
            beyond[name] = f"{guard.acceleration[j]:.3f} rad/s^2, the robot's {hardest[j]:.3f}"
    wider = _by_controller(embodiment, beyond)
    return wider and f"limits wider than robot_description's: {wider}; correct the YAML, or set limits_from to robot_description"


def _by_controller(embodiment: Embodiment, joints: Mapping[str, str]) -> str:
    """`joints` (name -> remark) as `controller (joint, joint: remark), controller (...)`, in the embodiment's order."""
    found = []
    for controller in embodiment.controllers:
        own = [f"{name}: {joints[name]}" if joints[name] else name for name in controller.joints if name in joints]
        if own:
            found.append(f"{controller.name} ({', '.join(own)})")
    return ", ".join(found)
