"""The user's own topics, of whose publishers the recorder knows nothing before it starts.

pytest test/unit/dial_ros/recorder
"""

from unittest.mock import Mock

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from dial_ros.recorder.recorded_streams import RecordedStreams
from dial_ros.recorder.recorded_topics import parse_extra

LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE


class Node:
    """A node whose topics are published with the durabilities in `offered`."""

    def __init__(self) -> None:
        self.offered, self.inputs, self.ended = [], [], []

    def resolve_topic_name(self, name):
        return f"/{name}"

    def get_publishers_info_by_topic(self, name):
        return [Mock(qos_profile=QoSProfile(depth=1, durability=each, reliability=ReliabilityPolicy.RELIABLE)) for each in self.offered]

    def create_subscription(self, kind, name, take, profile, raw):
        self.inputs.append(Mock(qos_profile=profile, take=take))
        return self.inputs[-1]

    def destroy_subscription(self, subscription):
        self.ended.append(subscription)


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def streams(node):
    recorded = []
    made = RecordedStreams(node, parse_extra("map:std_msgs/msg/String"), lambda topic, sent_ns, data: recorded.append((topic, data)))
    made.recorded = recorded
    return made


def test_a_latched_topic_of_the_users_is_subscribed_to_again_by_every_episode(node, streams):
    node.offered = [LATCHED, LATCHED]
    for number in (1, 2):
        streams.begin_episode()
        assert node.ended == node.inputs[:number]
        assert node.inputs[-1].qos_profile.durability is LATCHED
        assert node.inputs[-1].qos_profile.reliability is ReliabilityPolicy.RELIABLE
        node.inputs[-1].take(b"map", {})
    assert streams.recorded == [("/map", b"map")] * 2
    assert list(streams.latched()) == [], "its publishers keep it, maybe several of them"


@pytest.mark.parametrize("offered", [[], [VOLATILE], [LATCHED, VOLATILE]], ids=["nobody", "volatile", "mixed"])
def test_a_topic_that_not_all_publishers_latch_matches_every_publisher(node, streams, offered):
    node.offered = offered
    streams.begin_episode()
    assert node.ended == []
    assert [each.qos_profile.durability for each in node.inputs] == [VOLATILE]
    node.offered = [LATCHED]
    streams.begin_episode()
    node.offered = offered
    streams.begin_episode()
    assert [each.qos_profile.durability for each in node.inputs] == [VOLATILE, LATCHED, VOLATILE]


def test_topics_without_a_message_since_the_episode_began_are_known(node, streams):
    node.inputs[-1].take(b"before", {})
    streams.begin_episode()
    assert streams.without_message() == ["/map"]
    node.inputs[-1].take(b"in it", {})
    assert streams.without_message() == []
