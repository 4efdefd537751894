"""The recorder's last episodes, as their bags say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dial_core.bags.layout import METADATA_FILE
from dial_core.bags.reader import Bag
from dial_core.errors import DialError
from dial_core.observation.readings import image_from_message

MOST_EPISODES = 20
THUMBNAIL_PX = 64
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


@dataclass(frozen=True)
class RecordedEpisode:
    """One recorded episode.

    Attributes:
        outcome: success, failure or unknown.
        thumbnail: its first camera image as a data URL; empty if there is none that can be read.
    """

    name: str
    instruction: str
    outcome: str
    thumbnail: str


def recent_episodes(folder: Path, most: int = MOST_EPISODES) -> list[RecordedEpisode]:
    """The newest finished episodes of a folder of bags, newest first. A bag that is still open or cannot be read is left out."""
    try:
        bags = [(bag.stat().st_mtime_ns, bag) for bag in folder.iterdir() if (bag / METADATA_FILE).is_file()]
    except OSError:
        return []
    episodes = (_episode(bag, changed_ns) for changed_ns, bag in sorted(bags, reverse=True))
    return [episode for episode, _ in zip((e for e in episodes if e is not None), range(most), strict=False)]


@lru_cache(maxsize=4 * MOST_EPISODES)
def _episode(folder: Path, _changed_ns: int) -> RecordedEpisode | None:
    try:
        bag = Bag(folder)
        facts = bag.facts
        return RecordedEpisode(folder.name, facts.get("instruction", ""), facts.get("outcome", "unknown"), _thumbnail(bag))
    except DialError:
        return None


def _thumbnail(bag: Bag) -> str:
    from dial_ros.operator.robot_view import data_url

    topic = next((name for name, topic in bag.topics.items() if topic.type in IMAGES and bag.counts.get(name)), None)
    if topic is None:
        return ""
    for name, _, data in bag.messages([topic]):
        try:
            pixels = image_from_message(bag.decode(name, data))
            step = max(1, max(pixels.shape[:2]) // THUMBNAIL_PX)
            return data_url(np.ascontiguousarray(pixels[::step, ::step]))
        except DialError:
            return ""
    return ""
