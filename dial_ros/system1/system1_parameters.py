"""The parameters of node `system1`, with defaults, ranges and units. docs/nodes.md shows them; a test keeps the two together."""

from dial_core.control.motion_plan import SPLICE_LEAD_S
from dial_core.observation.readings import CAMERA_GAP_S, JOINT_GAP_S
from dial_ros.node.lifecycle import Parameter

PARAMETERS = {
    "checkpoint": Parameter("", "folder of the checkpoint (save_pretrained)"),
    "device": Parameter("cpu", "where the model runs: cpu, cuda, cuda:1, ..."),
    "runtime": Parameter(
        "auto",
        "what computes: auto, eager, or a program of `dial export`: aoti, onnx, int8, tensorrt-bf16; see docs/export.md",
    ),
    "embodiment": Parameter("gr1", "name in config/embodiments, or path of a YAML"),
    "camera": Parameter("ego", "name of the embodiment's camera that both systems see"),
    "image_transport": Parameter("raw", "raw: Image on image/<camera>; compressed: CompressedImage on image/<camera>/compressed"),
    "chunk_rate_hz": Parameter(6.7, "chunks a second of ROS time at most [Hz]", 0.1, 100.0),
    "strategy": Parameter(
        "ensemble", "where chunks overlap: ensemble (their mean), replace (the newest alone), blend (cross-fade) or rtc (inpainted)"
    ),
    "flow_steps": Parameter(4, "Euler steps of the flow [1]", 1, 100),
    "noise_seed": Parameter(-1, "seed of the fixed initial noise of the flow; -1: none, it starts at the noise's mean [1]", -1, 2**31 - 1),
    "camera_timeout": Parameter(0.5, "age of the newest whole frame beyond which the robot holds [s]", 0.01, 60.0),
    "frozen_timeout": Parameter(
        0.0, "a camera that repeats one image for longer counts as stale; 0: off, as a renderer may repeat itself [s]", 0.0, 60.0
    ),
    "joint_timeout": Parameter(0.3, "age of the newest joint state beyond which the robot holds [s]", 0.01, 60.0),
    "foresight_timeout": Parameter(0.8, "age of the foresight beyond which the robot holds; at most the horizon [s]", 0.01, 60.0),
    "clock_timeout": Parameter(3.0, "wall seconds without progress of the ROS clock beyond which the robot holds [s]", 0.1, 60.0),
    "chunk_timeout": Parameter(
        1.0, "age of the last usable chunk beyond which the robot holds, at least two chunk periods [s of ROS time]", 0.1, 60.0
    ),
    "joint_gap": Parameter(JOINT_GAP_S, "a frame needs a joint state at most this much older than itself [s]", 0.001, 1.0),
    "camera_gap": Parameter(
        CAMERA_GAP_S, "a frame needs frames of the further cameras at most this much older than itself [s]", 0.001, 1.0
    ),
    "splice_lead": Parameter(
        SPLICE_LEAD_S,
        "a motion takes over this long after it is sent, 0.082 with the guard; longer if latencies are long or scatter, and from rest [s]",
        0.0,
        0.5,
    ),
    "limits_from": Parameter(
        "embodiment", "joint limits: embodiment (its YAML), or robot_description (narrowed to the URDF on that topic, which is waited for)"
    ),
    "position_margin": Parameter(0.0, "joint targets keep this distance to the position limits [rad]", 0.0, 0.2),
    "velocity_share": Parameter(1.0, "share of the velocity limits that is used [1]", 0.01, 1.0),
    "acceleration_share": Parameter(1.0, "share of the acceleration limits that is used [1]", 0.01, 1.0),
    "max_jump": Parameter(
        3.0, "farthest a target may lie from the measured joints, beyond what the joint can travel until then [rad]", 0.01, 10.0
    ),
    "max_divergence": Parameter(
        0.3,
        "farthest measured joints, all but fingers, may be from what controllers report, or were sent where one does not report [rad]",
        0.01,
        10.0,
    ),
    "trace_file": Parameter("", "write one row for every chunk, foresight and change of state to this .csv or .jsonl; empty: no trace"),
    "trace_mb": Parameter(100, "size at which the trace ends [MiB]", 1, 100_000),
}
