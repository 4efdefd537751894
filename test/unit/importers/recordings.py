"""Bags of a GR1 that moves its right elbow, with any topics in them: what robots of other labs record."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import Topic
from dial_core.bags.synthetic import CONTROLLER, IMAGE, JOINTS, MS, ROBOT, STORE, TYPES, cdr, elbow, header, image_bytes, joint_bytes
from dial_core.robot.embodiment import Embodiment

START_NS = 1000 * MS
JOINT_STATE, TRAJECTORY, STRING = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory", "std_msgs/msg/String"
ARRAY, IMAGE_TYPE = "std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/Image"
Message = tuple[str, str, int, bytes]


def robot_with_limits(joint: str, lower: float, upper: float) -> Embodiment:
    """GR1 with another range of one joint, which rests at zero. A copy would keep the limits already computed."""
    content = ROBOT.model_dump()
    for entry in content["joints"]:
        if entry["name"] == joint:
            entry |= {"lower": lower, "upper": upper, "home": 0.0}
    return Embodiment.model_validate(content)


def arm_at(time_s: float) -> np.ndarray:
    """Where the controller's joints are wanted [rad]."""
    place = {name: i for i, name in enumerate(ROBOT.joint_names)}
    positions = ROBOT.home_position.copy()
    positions[place["r_elbow_pitch"]] = elbow(time_s)
    return positions[[place[name] for name in CONTROLLER.joints]]


def trajectory(stamp_ns: int, joints: Sequence[str], points: Iterable[tuple[float, Sequence[float], Sequence[float]]]) -> object:
    """A JointTrajectory; points are (time from start [s], positions, velocities)."""
    duration, point = TYPES["builtin_interfaces/msg/Duration"], TYPES["trajectory_msgs/msg/JointTrajectoryPoint"]
    made = [
        point(np.asarray(p, float), np.asarray(v, float), np.empty(0), np.empty(0), duration(sec=0, nanosec=round(t * 1e9)))
        for t, p, v in points
    ]
    return TYPES[TRAJECTORY](header(stamp_ns), list(joints), made)


def camera_and_joints(seconds: float = 5.0, joints: bool = True, camera: bool = True) -> list[Message]:
    """Joints at 100 Hz and frames at 20 Hz."""
    made = []
    for step in range(round(seconds * 1000)):
        stamp_ns = START_NS + step * MS
        if joints and step % 10 == 0:
            made.append((JOINTS, JOINT_STATE, stamp_ns + 2 * MS, joint_bytes(stamp_ns)))
        if camera and step % 50 == 0:
            made.append((IMAGE, IMAGE_TYPE, stamp_ns + 3 * MS, image_bytes(stamp_ns)))
    return made


def text(topic: str, at_s: float, words: str) -> Message:
    """A String, `at_s` after the begin."""
    return topic, STRING, START_NS + round(at_s * 1e9), cdr(STRING, TYPES[STRING](words))


def write(folder: Path, messages: Iterable[Message], definitions: dict[str, str] | None = None, **facts: str) -> Path:
    """A bag of these messages, in order of their log times."""
    ordered = sorted(messages, key=lambda message: message[2])
    kinds = {topic: kind for topic, kind, _, _ in ordered}
    described = [
        Topic(topic, kind, (definitions or {}).get(kind) or STORE.generate_msgdef(kind, ros_version=2)[0]) for topic, kind in kinds.items()
    ]
    writer = BagWriter(folder, described, {"embodiment": "gr1"} | facts)
    for topic, _, log_ns, data in ordered:
        writer.write(topic, log_ns, log_ns, data)
    writer.close()
    return folder
