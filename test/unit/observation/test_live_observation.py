"""A bag and the live System-1 give the same observation, bit for bit: what is trained on is what is seen on the robot."""

import array
from unittest.mock import MagicMock

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image, JointState

from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import IMAGE, JOINTS, ROBOT, record
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams
from dial_core.observation.readings import CAMERA_GAP_S, JOINT_GAP_S, image_from_message
from dial_core.robot.kinematics import ForwardKinematics
from dial_ros.system1.senses import Senses


class NothingWaits:
    """A subscription whose messages are taken as they arrive."""

    def __init__(self) -> None:
        self.handle = MagicMock()
        self.handle.take_message.return_value = None


class LiveNode:
    """What `Senses` asks of its node: subscriptions, parameters and the time."""

    active = True

    def __init__(self) -> None:
        self.callbacks = {}
        self.time_ns = 0

    def create_subscription(self, kind, topic, callback, profile):
        self.callbacks[topic] = callback
        return NothingWaits()

    def value(self, key):
        return {"image_transport": "raw", "joint_gap": JOINT_GAP_S, "camera_gap": CAMERA_GAP_S, "frozen_timeout": 0.0}[key]

    def now_ns(self):
        return self.time_ns

    def complain(self, kind, why):
        raise AssertionError(why)


class LiveContract:
    """One camera, as the embodiment has it."""

    def __init__(self, view) -> None:
        self.views = (view,)


def as_rclpy(bag: Bag, topic: str, data: bytes):
    """The message as rclpy would hand it over: its own classes and array types."""
    read = bag.decode(topic, data)
    stamp = Time(sec=read.header.stamp.sec, nanosec=read.header.stamp.nanosec)
    if topic == JOINTS:
        message = JointState(name=list(read.name), position=array.array("d", read.position.tolist()))
    else:
        message = Image(height=read.height, width=read.width, encoding=read.encoding, step=read.step)
        message.data = array.array("B", read.data.tobytes())
    message.header.stamp = stamp
    return message


def live_observations(bag: Bag) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Stamp, pixels and state of every observation that System-1 forms when the bag's messages arrive one by one."""
    from dial_core.observation.camera_view import CameraView

    camera = ROBOT.cameras[0]
    node, kinematics, formed = LiveNode(), ForwardKinematics(ROBOT), []

    def note(seen):
        (pixels,) = senses.pixels(seen)
        formed.append((seen.stamp_ns, pixels.copy(), kinematics.state(seen.joints)))

    view = CameraView(name=camera.name, height=camera.height, width=camera.width)
    senses = Senses(node, LiveContract(view), ROBOT, lambda stamp_ns: None, note)
    names = {JOINTS: "joint_states", IMAGE: f"image/{camera.name}"}
    for topic, log_ns, data in bag.messages(list(names)):
        node.time_ns = log_ns
        node.callbacks[names[topic]](as_rclpy(bag, topic, data))
    return formed


def test_a_bag_and_the_live_system1_give_bit_equal_observations(tmp_path):
    late = {7, 8, 31}  # joint states that were lost: the frame then takes those before

    def lost(topic, at_ns):
        return topic == JOINTS and at_ns // 10_000_000 in late

    bag = Bag(record(tmp_path / "bag", seconds=2.5, frame_ms=33, drop=lost))
    live = live_observations(bag)
    streams = find_streams(bag, ROBOT, ROBOT.cameras)
    sightings = read_timeline(bag, streams, ROBOT).sightings
    images = [bag.decode(IMAGE, data) for _, _, data in bag.messages([IMAGE])]
    kinematics = ForwardKinematics(ROBOT)
    assert len(sightings) == len(live) > 70
    for sighting, (stamp_ns, pixels, state) in zip(sightings, live, strict=True):
        assert sighting.stamp_ns == stamp_ns
        np.testing.assert_array_equal(image_from_message(images[sighting.frames[0]], (96, 96)), pixels)
        assert kinematics.state(sighting.joints).tobytes() == state.tobytes()
