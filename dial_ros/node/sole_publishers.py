"""Detects a second publisher on topics that allow one: two nodes that command one controller, or two clocks, are dangerous.

A publisher counts from its creation, active or not, and until the middleware removes it: immediately if its node was shut down in order,
after its lease (10 s with config/fastdds.xml) if it was killed.
"""

from collections import Counter
from collections.abc import Iterable

from rclpy.node import Node

NAMELESS = "a node whose name is not known yet"
_UNKNOWN = "_NODE_NAME_UNKNOWN_"  # what rmw gives for the name of a node that it has not discovered


class SolePublishers:
    """Finds other publishers on a node's topics, from the ROS graph."""

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
        """Returns which nodes publish on topics that allow one publisher; empty if none does."""
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
            return f"{_named(publishers)} also {'publishes' if publishers.total() == 1 else 'publish'}" if publishers else ""
        return f"{_named(publishers)} publish" if publishers.total() > 1 else ""


def _named(publishers: Counter[str]) -> str:
    return " and ".join(name if count == 1 else _several(name, count) for name, count in sorted(publishers.items()))


def _several(name: str, count: int) -> str:
    return f"{count} nodes whose names are not known yet" if name == NAMELESS else f"{count} nodes named {name}"


def publishers_of(node: Node, topic: str) -> list[str]:
    """Returns the sorted full names of the nodes that publish on a resolved topic; a node with two publishers is listed twice.

    A publisher is often discovered before the name of its node is: `NAMELESS` until then.
    """
    infos = node.get_publishers_info_by_topic(topic)
    return sorted(NAMELESS if info.node_name == _UNKNOWN else f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
