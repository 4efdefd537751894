"""The parameters of node `guard`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_core.control.trajectory_checks import Tolerances
from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "limits_from": Parameter(
        "embodiment", "embodiment: its YAML, narrowed to a URDF if one is published; robot_description: nothing passes before it is"
    ),
    "controller_period": Parameter(
        Tolerances.period_s, "period of the controllers' updates, over which limits and continuity are judged [s]", 0.001, 0.1
    ),
    "transport": Parameter(
        Tolerances.transport_s, "longest from the guard to a controller: what could arrive after its splice point is late [s]", 0.0, 0.2
    ),
    "real_time_priority": Parameter(
        40, "of its threads under `SCHED_FIFO`, below the controllers' (controller_manager: 50); 0: as any process [1]", 0, 99
    ),
    "max_age": Parameter(Tolerances.max_age_s, "oldest stamp of a trajectory that passes [s]", 0.05, 10.0),
    "max_lead": Parameter(Tolerances.max_lead_s, "farthest that a trajectory's first point may lie ahead [s]", 0.0, 5.0),
    "max_divergence": Parameter(
        Tolerances.max_divergence_rad,
        "farthest measured joints, all but fingers, may be from where controllers were sent [rad]",
        0.01,
        10.0,
    ),
}
