"""Detects peers on a node's topics whose QoS is incompatible, so that no message is exchanged with them."""

from rclpy.duration import Infinite
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import LivelinessPolicy, QoSCompatibility, QoSProfile, qos_check_compatible


class Compatibility:
    """Lists the peers with an incompatible QoS on a node's topics.

    The middleware only reports that one appeared, so whether it is still there, and which policy differs, is looked up.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._suspected: dict[tuple[str, bool], QoSProfile] = {}  # topic and whether we publish it -> our end's

    def of_subscription(self, topic: str, ours: QoSProfile) -> SubscriptionEventCallbacks:
        """Returns event callbacks for the subscription about to be created on `topic`."""
        return SubscriptionEventCallbacks(incompatible_qos=lambda _: self._suspect(topic, False, ours))

    def of_publisher(self, topic: str, ours: QoSProfile) -> PublisherEventCallbacks:
        """Returns event callbacks for the publisher about to be created on `topic`."""
        return PublisherEventCallbacks(incompatible_qos=lambda _: self._suspect(topic, True, ours))

    def mismatched(self) -> dict[str, str]:
        """Returns, by topic, the incompatible peer and the policy that differs; only peers that are still present."""
        found = {}
        for (topic, publishing), ours in self._suspected.items():
            peers = self._node.get_subscriptions_info_by_topic if publishing else self._node.get_publishers_info_by_topic
            for peer in peers(topic):
                ends = (ours, peer.qos_profile) if publishing else (peer.qos_profile, ours)
                if why := mismatch(*ends):
                    name = f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"
                    found[topic] = f"no messages between this node and {name} on {topic}: {why}"
        return found

    def _suspect(self, topic: str, publishing: bool, ours: QoSProfile) -> None:
        self._suspected[self._node.resolve_topic_name(topic), publishing] = ours


def mismatch(publisher: QoSProfile, subscription: QoSProfile) -> str:
    """Returns the QoS policies that are incompatible; empty if none is."""
    verdict, why = qos_check_compatible(_explicit(publisher), _explicit(subscription))
    return why.strip(" ;").replace("ERROR: ", "").replace(";", "; ") if verdict == QoSCompatibility.ERROR else ""


def _explicit(profile: QoSProfile) -> QoSProfile:
    """Returns the profile with unset durations set to infinite, as the graph reports those of peers.

    rclpy compares an unset deadline (zero) with an infinite one as if the one end promised less than the other asks.
    """
    return QoSProfile(
        history=profile.history,
        depth=max(profile.depth, 1),
        reliability=profile.reliability,
        durability=profile.durability,
        lifespan=profile.lifespan if profile.lifespan.nanoseconds else Infinite,
        deadline=profile.deadline if profile.deadline.nanoseconds else Infinite,
        liveliness=profile.liveliness if profile.liveliness != LivelinessPolicy.SYSTEM_DEFAULT else LivelinessPolicy.AUTOMATIC,
        liveliness_lease_duration=profile.liveliness_lease_duration if profile.liveliness_lease_duration.nanoseconds else Infinite,
    )
