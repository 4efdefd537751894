"""Second publishers that the middleware knows before it knows the name of their node; it cannot be made to, so its answers are given."""

from types import SimpleNamespace

import pytest

from dial_ros.node.sole_publishers import SolePublishers


def watching(*others, published=()):
    """A node /system1 that publishes on `published`, in a graph where further nodes publish on /topic too."""
    infos = [SimpleNamespace(node_namespace=namespace, node_name=name) for namespace, name in others]
    infos += [SimpleNamespace(node_namespace="/", node_name="system1")] * len(published)
    node = SimpleNamespace(
        get_fully_qualified_name=lambda: "/system1",
        resolve_topic_name=lambda topic: f"/{topic}",
        count_publishers=lambda topic: len(infos),
        get_publishers_info_by_topic=lambda topic: infos,
    )
    return SolePublishers(node, published=published, subscribed=() if published else ("topic",))


UNKNOWN = ("_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_")


@pytest.mark.parametrize(
    ("sole", "conflict"),
    [
        (watching(UNKNOWN, published=("topic",)), "a node whose name is not known yet also publishes /topic"),
        (watching(UNKNOWN, UNKNOWN, published=("topic",)), "2 nodes whose names are not known yet also publish /topic"),
        (watching(UNKNOWN, UNKNOWN), "2 nodes whose names are not known yet publish /topic"),
        (watching(("/lab", "stranger"), UNKNOWN), "/lab/stranger and a node whose name is not known yet publish /topic"),
        (watching(("/", "stranger"), ("/", "stranger")), "2 nodes named /stranger publish /topic"),
        (watching(("/", "stranger")), ""),
        (watching(published=("topic",)), ""),
    ],
)
def test_a_publisher_counts_before_its_node_has_a_name(sole, conflict):
    assert sole.conflict() == conflict
