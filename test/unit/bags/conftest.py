"""Bags with joint states and images, made without ROS: CDR bytes by rosbags."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import Qos, Topic

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
CUSTOM = (
    "# ours\nbuiltin_interfaces/Time stamp\nstring text\nfloat32[] values\n"
    + "=" * 80
    + ("\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n")
)
JOINTS, NOTE = "/joint_states", "/note"


def joint_state(stamp_ns: int, names: list[str], positions) -> bytes:
    """CDR bytes of a JointState."""
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    empty = np.empty(0)
    message = TYPES["sensor_msgs/msg/JointState"](
        header=TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=""),
        name=names,
        position=np.asarray(positions, np.float64),
        velocity=empty,
        effort=empty,
    )
    return bytes(STORE.serialize_cdr(message, "sensor_msgs/msg/JointState"))


def topics() -> list[Topic]:
    definition, _ = STORE.generate_msgdef("sensor_msgs/msg/JointState", ros_version=2)
    return [
        Topic(JOINTS, "sensor_msgs/msg/JointState", definition, STORE.hash_rihs01("sensor_msgs/msg/JointState"), (Qos("best_effort"),)),
        Topic(
            NOTE,
            "my_robot/msg/Note",
            CUSTOM,
            "RIHS01_9b767f67aeedd2116e6b81acf41bb6789004e31127c87d1a17d7ca68fddf0e0e",
            (Qos(durability="transient_local", depth=1),),
        ),
    ]


@pytest.fixture(autouse=True)
def _at_rest():
    """Files that a test has just written count as left alone for long, so that `repair` need not watch them."""
    with pytest.MonkeyPatch.context() as patch:  # of its own: a test may undo its patches
        patch.setattr("dial_core.bags.live_recording.QUIET_S", 0.0)
        yield


@pytest.fixture
def bag_writer(tmp_path) -> Callable[..., BagWriter]:
    """(name, options) -> an open bag with the topics /joint_states and /note."""

    def make(name: str = "bag", **options) -> BagWriter:
        return BagWriter(tmp_path / name, topics(), {"instruction": "put the can on the plate"}, **options)

    return make


@pytest.fixture
def joint_bytes():
    """(k) -> CDR bytes of the k-th joint state."""
    return lambda k: joint_state(k * 10_000_000, ["a", "b"], [0.01 * k, -0.01 * k])


@pytest.fixture
def messages_of() -> Callable[[Path], list[tuple[str, int, bytes]]]:
    """(folder) -> all messages by the `mcap` package alone, an independent reader."""
    from mcap.reader import make_reader

    def read(folder: Path) -> list[tuple[str, int, bytes]]:
        found = []
        for path in sorted(folder.glob("*.mcap")):
            with path.open("rb") as file:
                found += [(channel.topic, message.log_time, message.data) for _, channel, message in make_reader(file).iter_messages()]
        return found

    return read
