"""The same messages as other recorders write them: libmcap, and rosbag2 with either storage and every compression."""

from pathlib import Path

from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from dial_core.bags.reader import Bag

from .conftest import STORE, TYPES, joint_state

JOINT_STATE, STRING = "sensor_msgs/msg/JointState", "std_msgs/msg/String"
FOREVER = QosTime(2147483647, 4294967295)


def string(text: str) -> bytes:
    return bytes(STORE.serialize_cdr(TYPES[STRING](text), STRING))


def messages(count: int = 60) -> list[tuple[str, str, int, bytes]]:
    """Topic, type, log time and bytes; /late has its first message at two thirds."""
    found = []
    for k in range(count):
        found.append(("/joint_states", JOINT_STATE, k * 10, joint_state(k * 10_000_000, ["a", "b"], [0.01 * k, 0.0])))
        if k >= 2 * count // 3:
            found.append(("/late", STRING, k * 10 + 1, string(f"text {k}" + "x" * 2000)))
    return found


def write_mcap(path: Path, found: list[tuple[str, str, int, bytes]], finish: bool = True, **options) -> Path:
    """One file with `found` in the order given, by the `mcap` package with its own `options`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {}
    with path.open("wb") as file:
        writer = McapWriter(file, **options)
        writer.start("ros2", "another writer")
        for topic, kind, log_ns, data in found:
            if topic not in channels:
                definition = STORE.generate_msgdef(kind, ros_version=2)[0].encode()
                channels[topic] = writer.register_channel(topic, "cdr", writer.register_schema(kind, "ros2msg", definition), {})
            writer.add_message(channels[topic], log_ns, data, log_ns)
        if finish:
            writer.finish()
    return path


def write_lazily(path: Path, finish: bool = True, compression=CompressionType.ZSTD, foreign: bool = False) -> Path:
    """As libmcap does it: schema and channel stand right before the first message of the channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {}
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=4000, compression=compression)
        writer.start("ros2", "libmcap 1.3.0")
        for topic, kind, log_ns, data in messages():
            if topic not in channels:
                definition = STORE.generate_msgdef(kind, ros_version=2)[0].encode()
                channels[topic] = writer.register_channel(topic, "cdr", writer.register_schema(kind, "ros2msg", definition), {})
                if foreign:
                    schema = writer.register_schema("foxglove.Log", "jsonschema", b'{"type": "object"}')
                    channels["/log"] = writer.register_channel("/log", "json", schema)
                    channels["/raw"] = writer.register_channel(
                        "/raw", "protobuf", writer.register_schema("a.B", "protobuf", b"\xff\x00\xfe")
                    )
                    channels["/bare"] = writer.register_channel("/bare", "json", 0)
                    unknown = writer.register_schema("nobody/msg/Knows", "ros2msg", b"this is no definition at all\n")
                    channels["/unknown"] = writer.register_channel("/unknown", "cdr", unknown)
            writer.add_message(channels[topic], log_ns, data, log_ns)
            for other in channels.keys() - {"/joint_states", "/late"}:
                writer.add_message(channels[other], log_ns, b'{"a": 1}', log_ns)
        if finish:
            writer.finish()
    return path.parent


def write_rosbag2(folder: Path, storage: StoragePlugin, mode: CompressionMode | None = None) -> Path:
    qos = Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.BEST_EFFORT, QosDurability.VOLATILE, FOREVER, FOREVER,
        QosLiveliness.AUTOMATIC, FOREVER, False,
    )  # fmt: skip
    writer = Writer(folder, version=9, storage_plugin=storage)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        writer.set_custom_data("instruction", "put the can")
        connections = {}
        for topic, kind, log_ns, data in messages():
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE, offered_qos_profiles=[qos])
            writer.write(connections[topic], log_ns, data)
    return folder


def read(bag: Bag) -> list[tuple[str, int, bytes]]:
    return list(bag.messages({"/joint_states", "/late"}))


EXPECTED = [(topic, log_ns, data) for topic, _, log_ns, data in messages()]
