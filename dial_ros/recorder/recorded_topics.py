"""Which topics a recorder takes, of which type, and how they are subscribed and described in a bag."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from dial_core.bags.layout import Qos, Topic
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment
from dial_ros.node.interface_text import definition_of, type_hash_of

DEPTH = 100  # a recorder wants every message: 3 s of a camera, 1 s of joints may wait while the executor is busy
TRANSPORTS = {"raw": ("sensor_msgs/msg/Image", ""), "compressed": ("sensor_msgs/msg/CompressedImage", "/compressed")}


@dataclass(frozen=True)
class RecordedTopic:
    """One topic to record.

    Fields:
        name: relative, before remapping.
        type: e.g. `sensor_msgs/msg/Image`.
        reliable, latched: what the subscription asks for; best effort matches every publisher.
        required: an episode without it is of no use: recording does not start before it flows.
        extra: of the user's, whose publishers are not known: it is subscribed to as they all offer it.
    """

    name: str
    type: str
    reliable: bool = False
    latched: bool = False
    required: bool = False
    extra: bool = False

    @property
    def profile(self) -> QoSProfile:
        """The subscription's quality of service."""
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if self.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if self.latched else DurabilityPolicy.VOLATILE,
        )


def topics_of(
    embodiment: Embodiment, cameras: Sequence[str] = (), extra: Sequence[RecordedTopic] = (), transport: str = "raw"
) -> list[RecordedTopic]:
    """Cameras, joints, commands, instruction, foresight and status of a robot, then `extra`.

    Args:
        cameras: of the embodiment's; none: all.
        transport: raw: Image on image/<camera>; compressed: CompressedImage on image/<camera>/compressed.

    Raises:
        DialError: a camera is not the embodiment's, or the transport is unknown.
    """
    recorded = [embodiment.camera(name) for name in cameras] or embodiment.cameras
    if transport not in TRANSPORTS:
        raise DialError(f"image_transport '{transport}' is not known; choose one of: {', '.join(TRANSPORTS)}")
    kind, ending = TRANSPORTS[transport]
    return [
        *(RecordedTopic(f"image/{camera.name}{ending}", kind, required=True) for camera in recorded),
        *(RecordedTopic(topic, "sensor_msgs/msg/JointState", required=True) for topic in embodiment.joint_states_topics),
        *(
            RecordedTopic(f"{controller.name}/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", reliable=True)
            for controller in embodiment.controllers
        ),
        RecordedTopic("instruction", "dial_ros/msg/Instruction", reliable=True, latched=True),
        RecordedTopic("foresight", "dial_ros/msg/LatentForesight", reliable=True),
        RecordedTopic("foresight/error", "std_msgs/msg/Float32"),
        RecordedTopic("foresight/unchanged_error", "std_msgs/msg/Float32"),
        RecordedTopic("system1/status", "dial_ros/msg/System1Status", reliable=True, latched=True),
        RecordedTopic("system2/status", "dial_ros/msg/System2Status", reliable=True, latched=True),
        RecordedTopic("mujoco_robot/success", "std_msgs/msg/Bool", reliable=True, latched=True),
        *extra,
    ]


def parse_extra(text: str) -> list[RecordedTopic]:
    """`topic:package/msg/Type` by commas -> further topics to record. Raises DialError if it reads otherwise."""
    extra = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, kind = part.partition(":")
        if kind.count("/") != 2:
            raise DialError(f"extra_topics: '{part}' is not topic:package/msg/Type, e.g. imu/data:sensor_msgs/msg/Imu")
        extra.append(RecordedTopic(name, kind, extra=True))
    return extra


def described(node: Node, topic: RecordedTopic, definition: str) -> Topic:
    """The topic for a bag: its resolved name, and the QoS that its publishers offer at this moment."""
    name = node.resolve_topic_name(topic.name)
    offered = [_qos(info.qos_profile) for info in node.get_publishers_info_by_topic(name)]
    return Topic(name, topic.type, definition, type_hash_of(topic.type), tuple(offered or [_qos(topic.profile)]))


def as_offered(node: Node, topic: RecordedTopic) -> RecordedTopic:
    """An extra topic with what all of its publishers offer at this moment; latched if they are: what they keep is wanted too."""
    offered = [info.qos_profile for info in node.get_publishers_info_by_topic(node.resolve_topic_name(topic.name))]
    return replace(
        topic,
        reliable=bool(offered) and all(profile.reliability is ReliabilityPolicy.RELIABLE for profile in offered),
        latched=bool(offered) and all(profile.durability is DurabilityPolicy.TRANSIENT_LOCAL for profile in offered),
    )


def definitions(topics: Sequence[RecordedTopic]) -> dict[str, str]:
    """Text of every type, by type. Raises DialError if one is not installed."""
    return {kind: definition_of(kind) for kind in dict.fromkeys(topic.type for topic in topics)}


def _qos(profile: QoSProfile) -> Qos:
    latched = profile.durability is DurabilityPolicy.TRANSIENT_LOCAL
    reliable = profile.reliability is ReliabilityPolicy.RELIABLE
    # DDS does not announce a publisher's history depth; replay needs a queue that holds a burst.
    return Qos("reliable" if reliable else "best_effort", "transient_local" if latched else "volatile", "keep_last", profile.depth or 10)
