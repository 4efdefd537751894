"""The parameters that every node declares, by node; without importing the nodes, which would load their libraries."""

from collections.abc import Mapping

from dial_ros.guard import guard_parameters
from dial_ros.mujoco_robot import mujoco_robot_parameters
from dial_ros.node.lifecycle import Parameter
from dial_ros.operator import page_parameters
from dial_ros.recorder import recorder_parameters
from dial_ros.system1 import system1_parameters
from dial_ros.system2 import system2_parameters
from dial_ros.teleoperation import teleoperation_parameters

DECLARED: dict[str, Mapping[str, Parameter]] = {
    "system1": system1_parameters.PARAMETERS,
    "system2": system2_parameters.PARAMETERS,
    "guard": guard_parameters.PARAMETERS,
    "mujoco_robot": mujoco_robot_parameters.PARAMETERS,
    "recorder": recorder_parameters.PARAMETERS,
    "teleoperation": teleoperation_parameters.PARAMETERS,
    "operator": page_parameters.PARAMETERS,
}
OF_EVERY_NODE = {
    "use_sim_time": Parameter(False, "take the time from /clock"),
    "autostart": Parameter(False, "configure and activate at start"),
}


def declared(node: str) -> dict[str, Parameter]:
    """The parameters of `node`, with those that every node has."""
    return {**OF_EVERY_NODE, **DECLARED[node]}
