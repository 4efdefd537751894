"""Bags of a GR1 that moves its right elbow, as a recorder would have written them: for tests, benchmarks and a first try.

Everything follows from the time, so that what a conversion should give is known exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import Topic
from dial_core.robot.embodiment import load_embodiment

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
ROBOT = load_embodiment()
ELBOW = ROBOT.joint_names.index("r_elbow_pitch")
CONTROLLER = next(c for c in ROBOT.controllers if "r_elbow_pitch" in c.joints)
IMAGE, JOINTS, COMMANDS = "/image/ego", "/joint_states", f"/{CONTROLLER.name}/joint_trajectory"
KINDS = {IMAGE: "sensor_msgs/msg/Image", JOINTS: "sensor_msgs/msg/JointState", COMMANDS: "trajectory_msgs/msg/JointTrajectory"}
MS = 1_000_000


def elbow(time_s: float) -> float:
    """Where the elbow is wanted: still for 1 s, 0.5 rad in 2 s, still again [rad]."""
    return float(ROBOT.home_position[ELBOW] + 0.25 * np.clip(time_s - 1.0, 0.0, 2.0))


def header(stamp_ns: int) -> Any:
    """A std_msgs/Header."""
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def cdr(kind: str, message: Any) -> bytes:
    """The message as it goes over the wire."""
    return bytes(STORE.serialize_cdr(message, kind))


def dated_image(stamp_ns: int, height: int = 96, width: int = 96) -> np.ndarray:
    """An image (height, width, 3) uint8 that shows its own time as a white bar."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[height // 3 : height // 2, stamp_ns // (50 * MS) % width] = 255
    return pixels


def image_bytes(stamp_ns: int, pixels: np.ndarray | None = None) -> bytes:
    """An rgb8 Image of `pixels` (H, W, 3), or of `dated_image`."""
    pixels = dated_image(stamp_ns) if pixels is None else pixels
    height, width = pixels.shape[:2]
    message = TYPES[KINDS[IMAGE]](header(stamp_ns), height, width, "rgb8", 0, 3 * width, pixels.reshape(-1))
    return cdr(KINDS[IMAGE], message)


def joint_bytes(stamp_ns: int, names: Sequence[str] = ROBOT.joint_names, still: bool = False) -> bytes:
    """Joints that follow the commands with 40 ms of lag, or stand still."""
    position = ROBOT.home_position.copy()
    position[ELBOW] = elbow(0.0 if still else stamp_ns / 1e9 - 0.04)
    position = position[ROBOT.indices(names)]
    return cdr(KINDS[JOINTS], TYPES[KINDS[JOINTS]](header(stamp_ns), list(names), position, np.empty(0), np.empty(0)))


def command_bytes(stamp_ns: int) -> bytes:
    """Two targets, 50 and 100 ms ahead, and a stop, as the expert sends them every 50 ms."""
    duration, point = TYPES["builtin_interfaces/msg/Duration"], TYPES["trajectory_msgs/msg/JointTrajectoryPoint"]
    points = []
    for ahead_ms in (50, 100, 150):
        position = ROBOT.home_position[ROBOT.indices(CONTROLLER.joints)]
        now_s = stamp_ns / 1e9 + ahead_ms / 1e3
        position[CONTROLLER.joints.index("r_elbow_pitch")] = elbow(now_s)
        velocity = np.zeros(len(CONTROLLER.joints))
        if ahead_ms < 150:
            velocity[CONTROLLER.joints.index("r_elbow_pitch")] = (elbow(now_s + 0.01) - elbow(now_s - 0.01)) / 0.02
        points.append(point(position, velocity, np.empty(0), np.empty(0), duration(sec=0, nanosec=ahead_ms * MS)))
    return cdr(KINDS[COMMANDS], TYPES[KINDS[COMMANDS]](header(stamp_ns), list(CONTROLLER.joints), points))


def _camera_bytes(show: Callable[[int], np.ndarray]) -> Callable[[int], bytes]:
    return lambda stamp_ns: image_bytes(stamp_ns, show(stamp_ns))


def record(
    folder: Path,
    seconds: float = 5.0,
    topics: Sequence[str] = (IMAGE, JOINTS, COMMANDS),
    cameras: Mapping[str, Callable[[int], np.ndarray]] | None = None,
    frame_ms: int = 50,
    drop: Callable[[str, int], bool] = lambda topic, stamp_ns: False,
    change: Callable[[str, int, bytes], bytes] = lambda topic, stamp_ns, data: data,
    **facts: str,
) -> Path:
    """Writes a bag of `seconds` [s] that begins at 1 s: joints at 100 Hz, commands at 20 Hz, a frame every `frame_ms` [ms].

    Args:
        cameras: stamp [ns] -> pixels by topic, instead of `dated_image` on IMAGE.
        drop: (topic, time since the begin [ns]) -> whether a message is left out.
        change: (topic, time since the begin [ns], bytes) -> the bytes that are written.
        facts: instead of those of a successful episode.
    """
    cameras = {IMAGE: dated_image} if cameras is None else cameras
    topics = [*cameras, *(name for name in topics if name != IMAGE)] if IMAGE in topics else list(topics)
    kinds = KINDS | dict.fromkeys(cameras.keys() - {IMAGE}, KINDS[IMAGE])
    described = [Topic(name, kinds[name], STORE.generate_msgdef(kinds[name], ros_version=2)[0]) for name in topics]
    noted = {"instruction": "put the can on the plate", "outcome": "success", "embodiment": "gr1"} | facts
    writer = BagWriter(folder, described, noted)
    make: dict[str, tuple[int, Callable[[int], bytes]]] = {
        JOINTS: (10, joint_bytes),
        COMMANDS: (50, command_bytes),
    }
    make |= {topic: (frame_ms, _camera_bytes(show)) for topic, show in cameras.items()}
    start_ns = 1000 * MS
    for step in range(round(seconds * 1000)):
        stamp_ns = start_ns + step * MS
        for topic, (period_ms, of) in make.items():
            if topic in topics and step % period_ms == 0 and not drop(topic, stamp_ns - start_ns):
                writer.write(topic, stamp_ns + 2 * MS, stamp_ns, change(topic, stamp_ns - start_ns, of(stamp_ns)))
    writer.close()
    return folder
