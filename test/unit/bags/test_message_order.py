"""Messages come in the order of their log times, however a file or a folder of files arranges them.

pytest test/unit/bags/test_message_order.py
"""

import pytest
import yaml

from dial_core.bags.layout import METADATA_FILE
from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair

from .foreign_recordings import EXPECTED, messages, read, write_mcap

ARRANGEMENTS = {
    "without chunks": {"use_chunking": False},
    "in chunks": {"chunk_size": 2000},
    "in chunks that no index lists": {"chunk_size": 2000, "use_statistics": False},
}


def by_topic() -> list:
    """All messages of one topic, then all of the next."""
    return sorted(messages(), key=lambda message: (message[0], message[2]))


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_a_file_that_was_written_topic_by_topic_is_read_in_order_of_time(tmp_path, arrangement, closed):
    path = write_mcap(tmp_path / "bag/x_0.mcap", by_topic(), finish=closed, **ARRANGEMENTS[arrangement])
    bag = Bag(path.parent)
    found = read(bag)
    assert [log_ns for _, log_ns, _ in found] == sorted(log_ns for _, log_ns, _ in found)
    assert found == EXPECTED if closed else set(found) <= set(EXPECTED)
    assert len(found) > len(EXPECTED) - 6
    assert bag.whole == closed


def test_a_killed_file_that_was_written_topic_by_topic_is_repaired(tmp_path):
    path = write_mcap(tmp_path / "bag/x_0.mcap", by_topic(), finish=False, use_chunking=False)
    found = read(Bag(path.parent))
    assert repair(path.parent).action == "repaired"
    assert read(Bag(path.parent)) == found


def test_files_that_were_recorded_side_by_side_are_read_side_by_side(tmp_path):
    """One recorder for each topic, and a metadata.yaml that lists their files, as `ros2 bag reindex` writes it."""
    topics = sorted({message[0] for message in messages()})
    paths = [
        write_mcap(tmp_path / f"bag/{'abc'[number]}_0.mcap", [message for message in messages() if message[0] == topic])
        for number, topic in enumerate(topics)
    ]
    information = {"rosbag2_bagfile_information": {"version": 9, "relative_file_paths": [path.name for path in paths]}}
    (tmp_path / "bag" / METADATA_FILE).write_text(yaml.safe_dump(information))
    assert read(Bag(tmp_path / "bag")) == EXPECTED


def test_parts_that_overlap_in_time_are_read_side_by_side(tmp_path):
    ordered = sorted(messages(), key=lambda message: message[2])
    write_mcap(tmp_path / "bag/x_0.mcap", [*ordered[:20], *ordered[21:30:2]])
    write_mcap(tmp_path / "bag/x_1.mcap", [*ordered[20:30:2], *ordered[30:]])
    assert read(Bag(tmp_path / "bag")) == EXPECTED


def two_recorders(folder, listed) -> None:
    """One recorder for each topic, whose recordings are split at the same time, and a metadata.yaml that lists the files in this order."""
    ordered = [(topic, kind, 10**9 + log_ns, data) for topic, kind, log_ns, data in messages()]
    for name, of in {"cam": "/late", "joints": "/joint_states"}.items():
        own = [message for message in ordered if message[0] == of]
        for part, found in enumerate((own[: len(own) // 2], own[len(own) // 2 :])):
            write_mcap(folder / f"{name}_{part}.mcap", found)
    information = {"rosbag2_bagfile_information": {"version": 9, "relative_file_paths": list(listed)}}
    (folder / METADATA_FILE).write_text(yaml.safe_dump(information))


LISTED = {
    "recorder by recorder": ("cam_0.mcap", "cam_1.mcap", "joints_0.mcap", "joints_1.mcap"),
    "joints first": ("joints_0.mcap", "joints_1.mcap", "cam_0.mcap", "cam_1.mcap"),
    "part by part": ("cam_0.mcap", "joints_0.mcap", "cam_1.mcap", "joints_1.mcap"),
}


@pytest.mark.parametrize("listed", LISTED)
def test_split_recordings_of_several_recorders_are_read_in_order_of_time(tmp_path, listed):
    two_recorders(tmp_path / "bag", LISTED[listed])
    found = [(topic, log_ns - 10**9, data) for topic, log_ns, data in read(Bag(tmp_path / "bag"))]
    assert sorted(found, key=lambda message: message[1]) == found
    assert sorted(found) == sorted(EXPECTED)


def test_a_clock_that_is_set_back_does_not_shuffle_the_parts_of_one_recording(tmp_path):
    """The third part overlaps the first by its log times; it was recorded after the second."""
    joints = [message for message in messages() if message[0] == "/joint_states"]
    later = [(topic, kind, log_ns + 10**6, data) for topic, kind, log_ns, data in joints[20:40]]
    parts = (joints[:20], later, joints[10:20])
    for number, part in enumerate(parts):
        write_mcap(tmp_path / f"bag/x_{number}.mcap", part)
    assert [log_ns for _, log_ns, _ in read(Bag(tmp_path / "bag"))] == [message[2] for part in parts for message in part]
