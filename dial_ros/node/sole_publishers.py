"""Topics on which one node alone may publish: two commanders of one controller, or two clocks, make a motion that nobody planned.

A publisher counts from its creation, active or not, and until the middleware forgets it: at once if its node ended in order,
after its lease (10 s with config/fastdds.xml) if it was killed.
"""

from collections import Counter
from collections.abc import Iterable

from rclpy.node import Node


class SolePublishers:
    """Finds further publishers on the topics of a node, from the ROS graph."""

    def __init__(self, node: Node, published: Iterable[str] = (), subscribed: Iterable[str] = ()) -> None:
        """Watches topics by the names that the node's code uses; remappings and namespace are resolved here.

        Args:
            node: whose topics they are.
            published: it publishes these itself; any other publisher is one too many.
            subscribed: it subscribes to these; a second publisher is one too many.
        """
        self._node, self._self = node, node.get_fully_qualified_name()
        self._published = [node.resolve_topic_name(topic) for topic in published]
        self._subscribed = [node.resolve_topic_name(topic) for topic in subscribed]

    def conflict(self) -> str:
        """Which nodes publish where only one may, with their topics; empty: none does."""
        topics = [topic for topic in (*self._published, *self._subscribed) if self._node.count_publishers(topic) > 1]
        by_nodes: dict[str, list[str]] = {}
        for topic in topics:
            if nodes := self._too_many(topic):
                by_nodes.setdefault(nodes, []).append(topic)
        return "; ".join(f"{nodes} {', '.join(topics)}" for nodes, topics in by_nodes.items())

    def _too_many(self, topic: str) -> str:
        publishers = Counter(publishers_of(self._node, topic))
        if topic in self._published:
            publishers -= Counter([self._self])
            if self._self in publishers:
                return f"another node named {self._self} also publishes"
            return f"{' and '.join(sorted(publishers))} also publishes" if publishers else ""
        if publishers.total() < 2:
            return ""
        names = [name if count == 1 else f"{count} nodes named {name}" for name, count in sorted(publishers.items())]
        return f"{' and '.join(names)} publish"


def publishers_of(node: Node, topic: str) -> list[str]:
    """Full names of the nodes that publish on a resolved topic, sorted; one that has two publishers there comes twice."""
    return sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in node.get_publishers_info_by_topic(topic))
