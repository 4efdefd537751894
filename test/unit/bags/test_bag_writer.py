"""What is written is a rosbag2 bag, byte for byte, for every reader, and nothing is overwritten."""

import errno

import pytest
import yaml
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag


def test_an_independent_reader_finds_the_same_bytes(bag_writer, joint_bytes, messages_of):
    writer = bag_writer()
    sent = [("/joint_states", 10 * k, joint_bytes(k)) for k in range(50)]
    for topic, log_ns, data in sent:
        writer.write(topic, log_ns, log_ns, data)
    writer.close()
    assert messages_of(writer.folder) == sent


def test_rosbags_opens_and_decodes_it(bag_writer, joint_bytes):
    writer = bag_writer()
    writer.write("/joint_states", 5, 4, joint_bytes(3))
    writer.close({"outcome": "success"})
    with AnyReader([writer.folder]) as reader:
        (connection, log_ns, data) = next(iter(reader.messages()))
        message = reader.deserialize(data, connection.msgtype)
    assert (log_ns, list(message.name)) == (5, ["a", "b"])
    assert message.position.tolist() == [0.03, -0.03]


def test_quality_of_service_and_hash_are_kept_for_ros2_bag_play(bag_writer, joint_bytes):
    writer = bag_writer()
    writer.write("/joint_states", 5, 4, joint_bytes(3))
    writer.close()
    with Reader(writer.folder) as reader:
        offered = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
        hashes = {c.topic: c.digest for c in reader.connections}
    assert offered["/joint_states"].reliability.name == "BEST_EFFORT"
    assert offered["/note"].durability.name == "TRANSIENT_LOCAL"
    assert hashes["/joint_states"].startswith("RIHS01_")


def test_metadata_is_what_rosbag2_version_9_writes(bag_writer, joint_bytes):
    writer = bag_writer()
    for k in (2, 3):
        writer.write("/joint_states", 10 * k, 10 * k, joint_bytes(k))
    writer.close({"outcome": "success"})
    information = yaml.safe_load((writer.folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (information["version"], information["storage_identifier"], information["message_count"]) == (9, "mcap", 2)
    assert information["duration"] == {"nanoseconds": 10}
    assert information["relative_file_paths"] == ["bag_0.mcap"]
    assert information["custom_data"] == {"instruction": "put the can on the plate", "outcome": "success"}


def test_a_bag_is_split_by_size_and_read_as_one(bag_writer, joint_bytes):
    writer = bag_writer(split_bytes=3000)
    for k in range(400):
        writer.write("/joint_states", k, k, joint_bytes(k))
        writer.flush()
    writer.close()
    assert len(list(writer.folder.glob("*.mcap"))) > 5
    assert [log_ns for _, log_ns, _ in Bag(writer.folder).messages(["/joint_states"])] == list(range(400))


def test_a_bag_that_is_there_is_never_overwritten(bag_writer):
    bag_writer().close()
    with pytest.raises(BagError, match="not overwritten; choose another label"):
        bag_writer()


def test_a_full_disk_is_said_with_what_to_do(bag_writer, joint_bytes, monkeypatch):
    writer = bag_writer()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer._mcap, "add_message", full)
    with pytest.raises(BagError, match=r"the disk is full \([\d,]+ MB free\); make room"):
        writer.write("/joint_states", 1, 1, joint_bytes(1))


def test_a_full_disk_is_said_with_what_the_recording_needs(bag_writer, joint_bytes, monkeypatch):
    writer = bag_writer()
    for second in range(4):
        writer.write("/joint_states", second * 10**9, second * 10**9, joint_bytes(1) + bytes(2**20))
    writer.flush()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer._mcap, "add_message", full)
    with pytest.raises(BagError, match=r"MB free\), and this recording takes 80\.\d MB a minute; make room") as error:
        writer.write("/joint_states", 4 * 10**9, 4 * 10**9, joint_bytes(1))
    assert "\n" not in str(error.value)


def test_a_custom_message_is_decoded_by_the_definition_in_the_bag(bag_writer):
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    writer = bag_writer()
    definition = writer._contents.topics[1].definition
    store.register({"my_robot/msg/Note": get_types_from_msg(definition, "my_robot/msg/Note")["my_robot/msg/Note"]})
    time = store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    import numpy as np

    message = store.types["my_robot/msg/Note"](stamp=time, text="hello", values=np.array([1.0, 2.5], np.float32))
    writer.write("/note", 1, 1, bytes(store.serialize_cdr(message, "my_robot/msg/Note")))
    writer.close()
    bag = Bag(writer.folder)
    read = bag.decode("/note", next(bag.messages(["/note"]))[2])
    assert (read.text, read.values.tolist()) == ("hello", [1.0, 2.5])
