"""Finds controllers that publish reports of which none can be read."""

import time
from collections.abc import Mapping

from dial_ros.node.lifecycle import DialNode

UNREAD_S = 2.0  # of wall time while active, with a publisher and without a report
UNREAD = (
    "nothing of what {} publishes on controller_state can be read: it is not active, or it runs on another ROS distribution, or an older "
    "one of the same, whose message has another layout (control_msgs changed it in 5.0.0 and 5.3.0) and is dropped without a trace. "
    "Run the controllers and these nodes on the same one, up to date. Until then the controller counts as one that does not report"
)


class UnreadReports:
    """Controllers on whose topic somebody publishes, and of which no report has arrived.

    A sample whose layout is another than that of the subscription's type, under the same name, reaches no callback.

    Attributes:
        controllers: those of which this holds now.
    """

    def __init__(self, node: DialNode, topics: Mapping[str, str]) -> None:
        """Arguments: controller -> the resolved name of its topic. Call `look` regularly."""
        self._node, self._topics = node, topics
        self._since_s: dict[str, float] = {}  # wall time from which a report is missing
        self._logged: set[str] = set()
        self._read: set[str] = set()
        self.controllers: list[str] = []

    def note(self, name: str) -> None:
        """A report of the controller `name` has arrived."""
        self._read.add(name)

    def look(self) -> None:
        """Compares the ROS graph with what has arrived; warns once of each controller."""
        now_s = time.monotonic()
        missing = [name for name in set(self._topics) - self._read if self._node.active and self._node.count_publishers(self._topics[name])]
        self._since_s = {name: self._since_s.get(name, now_s) for name in missing}
        self.controllers = sorted(name for name, since_s in self._since_s.items() if now_s - since_s >= UNREAD_S)
        for name in self.controllers:
            if name not in self._logged:
                self._logged.add(name)
                self._node.get_logger().warning(UNREAD.format(name))
