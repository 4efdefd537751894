"""What arrives on the topics of a recorder: raw subscriptions, whether they flow, and the newest of what is latched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy
from rclpy.subscription import Subscription

from dial_ros.node.interface_text import message_class
from dial_ros.node.lifecycle import DialNode
from dial_ros.recorder.recorded_topics import DEPTH, RecordedTopic, as_offered

FLOWS_S = 1.0  # a required topic whose last message is older [wall s] does not flow


@dataclass
class Arrived:
    """What has come of one topic: when the last message [wall s], and its bytes if it is latched and one of ours."""

    last_s: float = -1e9
    latched: bytes | None = None


class RecordedStreams:
    """Subscriptions to the topics of a recorder, bytes undecoded."""

    def __init__(self, node: DialNode, topics: Sequence[RecordedTopic], on_message: Callable[[str, int | None, bytes], None]) -> None:
        """`on_message` gets a topic's resolved name, when its message was sent [ns] if that is known, and the bytes."""
        self._node, self._topics, self._on_message = node, tuple(topics), on_message
        self._names = {topic.name: node.resolve_topic_name(topic.name) for topic in topics}
        self._arrived = {topic.name: Arrived() for topic in topics}
        self._inputs: dict[str, Subscription] = {topic.name: self._subscribe(topic) for topic in topics}
        self._began_s = time.monotonic()  # the episode [wall s]

    def begin_episode(self) -> None:
        """Messages are an episode's from now on. Latched extra topics are subscribed to again: each publisher sends what it keeps."""
        self._began_s = time.monotonic()
        for topic in (as_offered(self._node, topic) for topic in self._topics if topic.extra):
            before = self._inputs[topic.name]
            if topic.latched or before.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL:
                self._node.destroy_subscription(before)
                self._inputs[topic.name] = self._subscribe(topic)

    def without_message(self) -> list[str]:
        """Resolved names of the extra topics on which nothing came since the episode began."""
        return [self._names[topic.name] for topic in self._topics if topic.extra and self._arrived[topic.name].last_s < self._began_s]

    def take_waiting(self) -> None:
        """Messages that came before now but still wait in the middleware: on a busy machine the executor lags behind."""
        for subscription in self._inputs.values():
            for _ in range(DEPTH):
                with subscription.handle:
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                if taken is None:
                    break
                subscription.callback(*taken)

    def silent(self) -> list[str]:
        """Resolved names of the required topics that do not flow."""
        now_s = time.monotonic()
        return [self._names[t.name] for t in self._topics if t.required and now_s - self._arrived[t.name].last_s > FLOWS_S]

    def latched(self) -> Iterator[tuple[str, bytes]]:
        """Resolved names of latched topics, and the newest message of each."""
        for name, arrived in self._arrived.items():
            if arrived.latched is not None:
                yield self._names[name], arrived.latched

    def newest(self, name: str) -> bytes | None:
        """The newest message of the latched topic `name`, before remapping; None before the first."""
        return self._arrived[name].latched

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._inputs.values():
            self._node.destroy_subscription(subscription)
        self._inputs = {}

    def _subscribe(self, topic: RecordedTopic) -> Subscription:
        resolved, arrived, remembered = self._names[topic.name], self._arrived[topic.name], topic.latched and not topic.extra

        def take(data: bytes, info: dict) -> None:
            arrived.last_s = time.monotonic()
            if remembered:
                arrived.latched = data
            self._on_message(resolved, info.get("source_timestamp"), data)

        return self._node.create_subscription(message_class(topic.type), topic.name, take, topic.profile, raw=True)
