"""Where System-1's joint limits come from: the embodiment's YAML, or the robot's own URDF on `robot_description`."""

from collections.abc import Callable

from std_msgs.msg import String

from dial_core.embodiment import Embodiment
from dial_core.errors import DialError
from dial_core.runtime.arming import Input
from dial_core.runtime.guard import Guard, Margins
from dial_core.runtime.urdf import joint_limits
from dial_ros import qos
from dial_ros.lifecycle import DialNode

SOURCES = ("embodiment", "robot_description")


class Limits:
    """The guard of now. With `limits_from: robot_description` the robot waits for the URDF, which narrows the embodiment's limits."""

    def __init__(self, node: DialNode, embodiment: Embodiment, on_change: Callable[[Guard], None]) -> None:
        """`on_change` is called with the guard of a URDF that arrives.

        Raises:
            DialError: an unknown source, or margins that leave a joint no room.
        """
        source = node.value("limits_from")
        if source not in SOURCES:
            raise DialError(f"limits_from '{source}' is not known; choose one of: {', '.join(SOURCES)}")
        self._node, self._embodiment, self._on_change = node, embodiment, on_change
        self._margins = Margins(
            position=node.value("position_margin"),
            velocity=node.value("velocity_share"),
            acceleration=node.value("acceleration_share"),
            jump=node.value("max_jump"),
        )
        self.guard = Guard.for_embodiment(embodiment, self._margins)
        self._known, self._refusal, self._subscription = source == "embodiment", "", None
        if not self._known:
            self._subscription = node.create_subscription(String, "robot_description", self._on_robot_description, qos.LATCHED)

    @property
    def input(self) -> Input:
        """For the state machine: missing until the limits are known."""
        return Input(0.0 if self._known else None, 1.0, self._refusal)

    def close(self) -> None:
        """Ends the subscription, if there is one."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _on_robot_description(self, message: String) -> None:
        try:
            self.guard = Guard.for_embodiment(self._embodiment, self._margins, joint_limits(message.data))
        except DialError as error:
            self._refusal = str(error)
            self._node.complain("robot_description", str(error))
            return
        self._known, self._refusal = True, ""
        self._on_change(self.guard)
