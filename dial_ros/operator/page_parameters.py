"""The parameters of node `operator`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "host": Parameter("127.0.0.1", "address the page listens on; any but this machine's own needs a token"),
    "port": Parameter(8080, "port of the page; 0: a free one", 0, 65535),
    "token": Parameter("", "what a visitor must know: http://HOST:PORT/?token=...; empty: nothing, on this machine only"),
    "read_only": Parameter(False, "spectators only: everything is shown, nothing but the emergency stop can be done"),
    "camera": Parameter("ego", "name of the embodiment's camera that is shown"),
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "checkpoint": Parameter("", "folder of the checkpoint: its vocabulary warns of unknown words before an instruction is sent"),
    "rate_hz": Parameter(10.0, "how often the page is refreshed [Hz]", 1.0, 30.0),
    "action_log": Parameter("", "file to which every action is added with time and who; empty: operator_actions.jsonl in ROS's log folder"),
}

# Input -> parameter of System-1 that limits its age [s].
LIMITS = {"camera": "camera_timeout", "joint states": "joint_timeout", "foresight": "foresight_timeout", "chunk": "chunk_timeout"}
