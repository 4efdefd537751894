"""The parameters of node `mujoco_robot`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_ros.mujoco_robot.controller_bank import LEAST_RATE_HZ
from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "task": Parameter("PlacematToPlate", "task in config/tasks"),
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "camera": Parameter("ego", "name of the embodiment's camera that is published"),
    "seed": Parameter(0, "seed of the first scene [1]", 0, 2**31 - 1),
    "target": Parameter(-1, "index of the object that the instruction names; -1: drawn from the seed [1]", -1, 100),
    "real_time_factor": Parameter(1.0, "simulated over wall time at most; 0: as fast as it goes [1]", 0.0, 100.0),
    "controller_rate_hz": Parameter(LEAST_RATE_HZ, "update rate of the controllers, a multiple of 100 [Hz]", LEAST_RATE_HZ, 1000),
    "scene_camera": Parameter(False, "also publish image/scene, a view from the side"),
}
