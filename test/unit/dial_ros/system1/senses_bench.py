"""Senses on a bench that stands for the node, with an ego and a wrist camera, and messages for them."""

import numpy as np
from sensor_msgs.msg import JointState

from dial_core.checkpoint.contract import Contract
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import Camera, load_embodiment
from dial_ros.node.messages import image_to_message, to_time
from dial_ros.system1.senses import Senses

MS = 1_000_000
GR1 = load_embodiment("gr1")
WRIST = Camera(name="wrist", topic="image/wrist", frame="wrist", height=48, width=64)
WRIST_VIEW = CameraView(name="wrist", height=32, width=32)
TWO_CAMERAS = GR1.model_copy(update={"cameras": (*GR1.cameras, WRIST)})


class StandInSubscription:
    """Stands for a subscription and its handle; `waiting`: what has arrived and was not taken yet."""

    def __init__(self, topic=""):
        self.topic, self.waiting = topic, []

    @property
    def handle(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def take_message(self, kind, raw):
        return (self.waiting.pop(0), {}) if self.waiting else None


class Bench:
    """Stands for the node: keeps the callbacks and subscriptions by topic, and the time."""

    def __init__(self, **values):
        self.active, self.time_ns, self.complaints, self.callbacks, self.joint_stamps = True, 0, [], {}, []
        self.subscriptions = {}
        self._values = {
            "image_transport": "raw",
            "frozen_timeout": 0.0,
            "joint_gap": 0.05,
            "camera_gap": 0.03,
            "camera_timeout": 0.5,
            "joint_timeout": 0.3,
        } | values

    def value(self, key):
        return self._values[key]

    def now_ns(self):
        return self.time_ns

    def publisher_names(self, topic):
        return []

    def complain(self, kind, why, grave=False):
        self.complaints.append((kind, why))

    def create_subscription(self, kind, topic, callback, qos):
        self.callbacks[topic], self.subscriptions[topic] = callback, StandInSubscription(topic)
        return self.subscriptions[topic]

    def destroy_subscription(self, subscription):
        del self.callbacks[subscription.topic]


def contract(*further):
    return Contract(
        embodiment="gr1",
        joint_names=GR1.joint_names,
        camera="ego",
        height=96,
        width=96,
        further_cameras=further,
        rate_hz=20.0,
        horizon=16,
        state_dim=47,
        action_dim=47,
        foresight_shape=(36, 192),
        model_id="m",
    )


def senses(*further, **values):
    """Senses on a bench, the bench, and the list of what they observe."""
    bench, seen = Bench(**values), []
    return Senses(bench, contract(*further), TWO_CAMERAS, bench.joint_stamps.append, seen.append), bench, seen


def send_image(bench, stamp_ms, camera="ego", size=(96, 96), value=7, **changes):
    message = image_to_message(np.full((*size, 3), value, np.uint8), round(stamp_ms * MS), camera)
    for field, content in changes.items():
        setattr(message, field, content)
    bench.callbacks[f"image/{camera}"](message)


def joints(bench, stamp_ms, value=0.5, names=GR1.joint_names):
    message = JointState(name=list(names), position=[value] * len(names))
    message.header.stamp = to_time(stamp_ms * MS)
    bench.callbacks["joint_states"](message)


def queue_joints(bench, stamp_ms, value=0.5, names=GR1.joint_names):
    """A joint state that arrives while the node is busy: it takes it with the next one."""
    message = JointState(name=list(names), position=[value] * len(names))
    message.header.stamp = to_time(stamp_ms * MS)
    bench.subscriptions["joint_states"].waiting.append(message)
