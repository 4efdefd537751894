"""The parameters of node `teleoperation`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "hand": Parameter("right", "which hand moves: left or right"),
    "deadman": Parameter(0.3, "wall seconds without a velocity after which the hand stands [s]", 0.05, 2.0),
}
