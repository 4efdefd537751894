"""Peers with which a topic is shared but no message is: DDS connects no two ends whose quality of service does not match."""

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible


class Compatibility:
    """Which peers of a node's topics get or give nothing. DDS tells only that one came; whether it is still there is looked up."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._suspected: dict[tuple[str, bool], QoSProfile] = {}  # topic and whether we publish it -> our end's

    def of_subscription(self, topic: str, ours: QoSProfile) -> SubscriptionEventCallbacks:
        """For the subscription that is made of `topic`."""
        return SubscriptionEventCallbacks(incompatible_qos=lambda _: self._suspect(topic, False, ours))

    def of_publisher(self, topic: str, ours: QoSProfile) -> PublisherEventCallbacks:
        """For the publisher that is made of `topic`."""
        return PublisherEventCallbacks(incompatible_qos=lambda _: self._suspect(topic, True, ours))

    def mismatched(self) -> dict[str, str]:
        """Topic -> which peer does not match, and why; of those that are there now."""
        found = {}
        for (topic, publishing), ours in self._suspected.items():
            peers = self._node.get_subscriptions_info_by_topic if publishing else self._node.get_publishers_info_by_topic
            for peer in peers(topic):
                ends = (ours, peer.qos_profile) if publishing else (peer.qos_profile, ours)
                verdict, why = qos_check_compatible(*ends)
                if verdict == QoSCompatibility.ERROR:
                    name = f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"
                    found[topic] = f"nothing goes between us and {name} on {topic}: {why.strip(' ;').removeprefix('ERROR: ')}"
        return found

    def _suspect(self, topic: str, publishing: bool, ours: QoSProfile) -> None:
        self._suspected[self._node.resolve_topic_name(topic), publishing] = ours
