"""What System-1 publishes is read by strict readers of recordings too."""

from types import SimpleNamespace

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import Topic
from dial_core.control.motion import JointMotion
from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.strict_cdr import trajectory_bytes
from dial_ros.system1.commander import Commander

KIND = "trajectory_msgs/msg/JointTrajectory"
STORE = get_typestore(Stores.ROS2_JAZZY)
GR1 = load_embodiment()


@pytest.mark.parametrize("frame", ["", "a", "base", "bäse"])
@pytest.mark.parametrize("names", [[], ["a"], ["a", "bcdef", "gh"]])
@pytest.mark.parametrize("lengths", [(0, 0, 0, 0), (3, 0, 0, 0), (3, 3, 0, 0), (3, 3, 3, 3), (0, 0, 1, 0)])
def test_a_trajectory_of_any_shape_is_exactly_as_long_as_its_fields(frame, names, lengths):
    fields = ("positions", "velocities", "accelerations", "effort")
    for points in range(4):
        made = [JointTrajectoryPoint(**{f: [0.5 + k] * n for f, n in zip(fields, lengths, strict=True)}) for k in range(points)]
        message = JointTrajectory(joint_names=names, points=made)
        message.header.frame_id = frame
        data = trajectory_bytes(message)
        strict = STORE.deserialize_cdr(data, KIND)
        assert len(STORE.serialize_cdr(strict, KIND)) == len(data)
        assert deserialize_message(data, JointTrajectory) == message


def published(motion: JointMotion) -> dict[str, bytes]:
    """The bytes that System-1's commander publishes, by topic."""
    sent = {}

    def publisher(kind, topic, profile):
        return SimpleNamespace(publish=lambda data: sent.update({f"/{topic}": data}), topic_name=f"/{topic}")

    node = SimpleNamespace(create_publisher=publisher, get_namespace=lambda: "/")
    Commander(node, GR1, plan=None, robot_time=None).prepare(motion)()
    return sent


def test_what_system1_publishes_is_read_by_rosbags_and_by_mcap(tmp_path):
    times_s = 0.05 * np.arange(1, 17)
    positions = np.tile(GR1.home_position, (16, 1)) + 0.01 * np.arange(16)[:, None]
    sent = published(JointMotion(10**9, times_s, positions, np.zeros((16, 29))))
    definition = STORE.generate_msgdef(KIND, ros_version=2)[0]
    writer = BagWriter(tmp_path / "bag", [Topic(topic, KIND, definition) for topic in sent])
    for topic, data in sent.items():
        writer.write(topic, 10**9, 10**9, data)
    writer.close()

    with Reader(tmp_path / "bag") as reader:
        by_rosbags = {connection.topic: STORE.deserialize_cdr(data, KIND) for connection, _, data in reader.messages()}
    with (tmp_path / "bag/bag_0.mcap").open("rb") as file:
        by_mcap = {
            channel.topic: message
            for _, channel, _, message in make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages()
        }
    for controller in GR1.controllers:
        index = [GR1.joint_names.index(name) for name in controller.joints]
        for read in (by_rosbags, by_mcap):
            message = read[f"/{controller.name}/joint_trajectory"]
            np.testing.assert_array_equal([point.positions for point in message.points], positions[:, index])
