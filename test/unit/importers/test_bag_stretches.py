"""A bad stretch costs the stretch, not the bag; instructions cut episodes; foreign channels and names are mapped or ignored."""

import numpy as np
import pytest

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import Topic
from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import (
    COMMANDS,
    IMAGE,
    JOINTS,
    MS,
    ROBOT,
    STORE,
    TYPES,
    cdr,
    command_bytes,
    dated_image,
    elbow,
    header,
    image_bytes,
    joint_bytes,
    record,
)
from dial_core.bags.synthetic import ELBOW as ELBOW_PLACE
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import BagConversion, convert_bags, find_bags
from dial_core.importers.bag.mapping import BagMapping, NamedJoints
from dial_core.importers.bag.resampling import Resampling
from dial_core.importers.bag.topic_streams import find_streams

from .image_sets import png
from .recordings import JOINT_STATE, START_NS, STRING, camera_and_joints, text, write


def convert(tmp_path, folder, **settings):
    report = convert_bags([folder], tmp_path / "out", BagConversion(**{"instruction": "x"} | settings), workers=0)
    return report.jobs[0], LeRobotDataset(tmp_path / "out")


def restamped(topic, stamp_of):
    """A `change` of `record` that gives the messages of a topic other stamps."""
    make = {JOINTS: joint_bytes, IMAGE: image_bytes}

    def change(name, at_ns, data):
        if name != topic:
            return data
        stamp_ns = stamp_of(START_NS + at_ns)
        body = bytearray(make[topic](START_NS + at_ns))
        body[4:12] = int(stamp_ns // 10**9).to_bytes(4, "little") + int(stamp_ns % 10**9).to_bytes(4, "little")
        return bytes(body)

    return change


def test_stamps_that_go_back_a_little_cost_their_messages(tmp_path):
    folder = record(tmp_path / "bag", change=restamped(JOINTS, lambda ns: ns - 12 * MS if ns // MS % 200 == 10 else ns))
    report, dataset = convert(tmp_path, folder)
    assert len(dataset.episodes) == 1
    assert report.rejected == [f"25 messages of {JOINTS}: its stamp is before that of the message before (the first at 0.01 s)"]


def test_one_late_frame_costs_the_frame(tmp_path):
    folder = record(tmp_path / "bag", change=restamped(IMAGE, lambda ns: ns - 51 * MS if ns == START_NS + 2000 * MS else ns))
    report, dataset = convert(tmp_path, folder)
    assert len(dataset.episodes) == 1
    assert report.rejected == [f"1 messages of {IMAGE}: its stamp is before that of the message before (at 2.00 s)"]


@pytest.mark.parametrize("topic", [JOINTS, IMAGE])
def test_a_driver_that_never_stamps_is_read_by_the_times_of_receipt(tmp_path, topic):
    report, dataset = convert(tmp_path, record(tmp_path / "bag", change=restamped(topic, lambda ns: 0)))
    assert len(dataset.episodes) == 1
    assert f"the stamps of {topic} are zero" in report.remarks[0]


def test_a_clock_that_is_set_back_cuts_the_recording(tmp_path):
    back = lambda ns: ns + 100_000 * MS if ns > START_NS + 1000 * MS else ns + 600_000 * MS  # noqa: E731

    def change(topic, at_ns, data):
        return restamped(topic, back)(topic, at_ns, data) if topic != COMMANDS else data

    folder = record(tmp_path / "bag", topics=(IMAGE, JOINTS), change=change)
    report, dataset = convert(tmp_path, folder, resampling=Resampling(min_length_s=0.5))
    assert len(dataset.episodes) == 2
    assert "the clock was set 1 times: the recording is cut there" in report.rejected


def test_images_that_cannot_be_decoded_are_left_out(tmp_path):
    def change(topic, at_ns, data):
        return data[:-500] if topic == IMAGE and 1000 * MS <= at_ns <= 1200 * MS else data

    report, dataset = convert(tmp_path, record(tmp_path / "bag", change=change), resampling=Resampling(min_length_s=0.5))
    assert len(dataset.episodes) == 2  # a gap
    assert report.rejected[0].startswith("5 messages of /image/ego: a message is no sensor_msgs/msg/Image")
    assert report.rejected[0].endswith("(the first at 1.00 s)")


def test_frames_of_another_size_are_left_out_with_both_sizes_and_the_time(tmp_path):
    small = np.zeros((48, 64, 3), np.uint8)

    def change(topic, at_ns, data):
        return image_bytes(START_NS + at_ns, small) if topic == IMAGE and 1000 * MS <= at_ns <= 1200 * MS else data

    report, dataset = convert(tmp_path, record(tmp_path / "bag", change=change), resampling=Resampling(min_length_s=0.5))
    assert len(dataset.episodes) == 2  # a gap
    assert report.rejected[0] == (
        f"5 messages of {IMAGE}: image is 48x64, the embodiment says that the camera gives 96x96; set the one or the other "
        "(the first at 1.00 s)"
    )


def test_reasons_that_differ_in_a_number_of_bytes_are_one(tmp_path):
    def change(topic, at_ns, data):
        return data[: -500 - at_ns // MS] if topic == IMAGE and 1000 * MS <= at_ns <= 1200 * MS else data

    report, _ = convert(tmp_path, record(tmp_path / "bag", change=change), resampling=Resampling(min_length_s=0.5))
    assert [reason for reason in report.rejected if IMAGE in reason] == report.rejected[:1]


def test_joint_states_that_are_not_finite_are_left_out(tmp_path):
    def change(topic, at_ns, data):
        if topic != JOINTS or at_ns % (500 * MS):
            return data
        position = np.full(len(ROBOT.joint_names), np.nan)
        return cdr(JOINT_STATE, TYPES[JOINT_STATE](header(START_NS + at_ns), list(ROBOT.joint_names), position, np.empty(0), np.empty(0)))

    report, dataset = convert(tmp_path, record(tmp_path / "bag", change=change))
    assert np.isfinite(dataset.states).all()
    assert any("positions of the joint state: 29 of 29 values are not finite" in reason for reason in report.rejected)


def test_an_instruction_that_changes_cuts_the_episode(tmp_path):
    words = [
        text("/instruction", 0.0, "pick up the can"),
        text("/instruction", 0.5, "pick up the can"),
        text("/instruction", 1.2, "put it down"),
    ]
    folder = write(tmp_path / "bag", camera_and_joints() + words)
    _, dataset = convert(tmp_path, folder, instruction="")
    assert [span.instruction for span in dataset.episodes] == ["pick up the can", "put it down"]
    ends = [dataset.states[span.first + span.length - 1, 18 + ELBOW_PLACE] for span in dataset.episodes]
    assert ends[0] == pytest.approx(elbow(1.0 + 1.2), abs=0.03)  # cut where it changed
    assert ends[1] == pytest.approx(elbow(9.0), abs=0.01)


def test_motion_after_the_instruction_was_cleared_is_not_of_that_task(tmp_path):
    words = [text("/instruction", 0.0, ""), text("/instruction", 0.1, "pick up the can"), text("/instruction", 1.2, "")]
    report, dataset = convert(tmp_path, write(tmp_path / "bag", camera_and_joints() + words), instruction="")
    assert [span.instruction for span in dataset.episodes] == ["pick up the can"]
    assert dataset.states[-1, 18 + ELBOW_PLACE] == pytest.approx(elbow(1.0 + 1.2), abs=0.03)
    assert any(reason.startswith("the instruction was cleared, and the robot moved on for") for reason in report.rejected)


def test_an_instruction_that_is_cleared_after_the_motion_costs_nothing(tmp_path):
    words = [text("/instruction", 0.0, "pick up the can"), text("/instruction", 4.9, "")]
    report, dataset = convert(tmp_path, write(tmp_path / "bag", camera_and_joints() + words), instruction="")
    assert len(dataset.episodes) == 1
    assert report.rejected == []


@pytest.mark.parametrize("topic", ["/instruction", "/robot/task", "/language_instruction"])
def test_a_string_is_an_instruction(tmp_path, topic):
    _, dataset = convert(tmp_path, write(tmp_path / "bag", [*camera_and_joints(), text(topic, 0.0, "put the can")]), instruction="")
    assert dataset.episodes[0].instruction == "put the can"


def test_other_texts_are_offered_and_can_be_mapped(tmp_path):
    folder = write(tmp_path / "bag", [*camera_and_joints(), text("/voice", 0.0, "put the can")])
    with pytest.raises(DialError, match=r"it carries no instruction; .* or name its topic with --mapping: /voice"):
        convert(tmp_path, folder, instruction="")
    _, dataset = convert(tmp_path, folder, instruction="", mapping=BagMapping(instruction="/voice"))
    assert dataset.episodes[0].instruction == "put the can"


def split_joints(prefix=""):
    names, half = ROBOT.joint_names, len(ROBOT.joint_names) // 2
    for step in range(500):
        ns = START_NS + step * 10 * MS
        position = ROBOT.home_position.copy()
        position[ELBOW_PLACE] = elbow(ns / 1e9 - 0.04)
        for topic, part in (("/left/joint_states", slice(0, half)), ("/right/joint_states", slice(half, None))):
            own = [prefix + name for name in names[part]]
            message = TYPES[JOINT_STATE](header(ns), own, position[part], np.empty(0), np.empty(0))
            yield topic, JOINT_STATE, ns + 2 * MS, cdr(JOINT_STATE, message)


def test_joint_states_of_two_topics_with_a_prefix_are_brought_together_by_a_mapping(tmp_path):
    folder = write(tmp_path / "bag", camera_and_joints(joints=False) + list(split_joints("gr1/")))
    mapping = BagMapping(joint_states=tuple(NamedJoints(topic=f"/{side}/joint_states", prefix="gr1/") for side in ("left", "right")))
    _, dataset = convert(tmp_path, folder, mapping=mapping)
    elbows = dataset.states[:, 18 + ELBOW_PLACE]
    assert [elbows.min(), elbows.max()] == pytest.approx([elbow(0), elbow(9)], abs=0.01)


def test_joint_states_of_two_publishers_on_one_topic_are_brought_together(tmp_path):
    joints = [("/joint_states", *rest) for _, *rest in split_joints()]
    _, dataset = convert(tmp_path, write(tmp_path / "bag", camera_and_joints(joints=False) + joints))
    assert len(dataset.episodes) == 1


def test_what_is_not_used_is_reported_with_the_reason(tmp_path):
    extra = [
        text("/log", 0.0, "hello"),
        ("/other_arm/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", START_NS, command_bytes(START_NS)),
    ]
    streams = find_streams(Bag(write(tmp_path / "bag", camera_and_joints() + extra)), ROBOT, ROBOT.cameras)
    assert streams.unused == {
        "/log": f"{STRING} is not needed",
        "/other_arm/joint_trajectory": "no controller of the embodiment has it (--mapping names one)",
    }


def encoded(at_ns, form="jpeg"):
    kind = "sensor_msgs/msg/CompressedImage"
    return cdr(kind, TYPES[kind](header(at_ns), form, np.frombuffer(png(dated_image(at_ns)), np.uint8)))


def test_of_a_cameras_topics_the_one_with_messages_is_read(tmp_path):
    # `ros2 bag record` declares the raw topic too, though only the compressed one was sent.
    kind = "sensor_msgs/msg/CompressedImage"
    ended = [(f"{IMAGE}/compressed", kind, log_ns, encoded(log_ns)) for topic, _, log_ns, _ in camera_and_joints() if topic == IMAGE]
    content = ended + camera_and_joints(camera=False)
    described = [Topic(name, of, STORE.generate_msgdef(of, ros_version=2)[0]) for name, of in {(m[0], m[1]) for m in content}]
    raw = Topic(IMAGE, "sensor_msgs/msg/Image", STORE.generate_msgdef("sensor_msgs/msg/Image", ros_version=2)[0])
    writer = BagWriter(tmp_path / "bag", [raw, *described])
    for topic, _, log_ns, data in sorted(content, key=lambda message: message[2]):
        writer.write(topic, log_ns, log_ns, data)
    writer.close()
    assert find_streams(Bag(tmp_path / "bag"), ROBOT, ROBOT.cameras).images == (f"{IMAGE}/compressed",)
    _, dataset = convert(tmp_path, tmp_path / "bag")
    assert len(dataset.episodes) == 1


def test_a_camera_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    described = [Topic(IMAGE, "", "", encoding="json"), Topic(JOINTS, JOINT_STATE, STORE.generate_msgdef(JOINT_STATE, ros_version=2)[0])]
    writer = BagWriter(tmp_path / "bag", described)
    writer.write(IMAGE, START_NS, START_NS, b"{}")
    writer.close()
    with pytest.raises(DialError, match=f"topic {IMAGE} cannot be read: its messages are 'json', not CDR"):
        find_streams(Bag(tmp_path / "bag"), ROBOT, ROBOT.cameras)


def test_messages_in_another_serialisation_are_named_once(tmp_path):
    folder = record(tmp_path / "bag", seconds=0.3, change=lambda topic, _, data: b"\0\7\0\0" + data[4:])  # XCDR2
    with pytest.raises(DialError, match=rf"bag: topic {IMAGE}: a message begins with 00 07: not the CDR of ROS 2"):
        convert(tmp_path, folder)


def test_bags_are_found_at_any_depth_and_recordings_side_by_side_are_several(tmp_path):
    nested = write(tmp_path / "day/episode_0/recording", camera_and_joints(0.2))
    loose = tmp_path / "day/loose"
    loose.mkdir()
    for name in ("monday.mcap", "tuesday.mcap"):
        (loose / name).write_bytes(next(nested.glob("*.mcap")).read_bytes())
    hidden = tmp_path / "day/.trash"
    hidden.mkdir()
    (hidden / "x.mcap").write_bytes(b"")
    assert find_bags([tmp_path / "day"]) == [nested, loose / "monday.mcap", loose / "tuesday.mcap"]
    assert find_bags([loose / "monday.mcap"]) == [loose / "monday.mcap"]
