"""The robot's own URDF on `robot_description`: it is checked against the embodiment, and may narrow the limits of its YAML."""

from collections.abc import Callable

from std_msgs.msg import String

from dial_core.control.arming import Input
from dial_core.control.joint_limits import Guard, Margins
from dial_core.control.robot_check import limits_beyond, missing_from_description
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.urdf import RobotDescription, read_description
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode

SOURCES = ("embodiment", "robot_description")


class Limits:
    """The guard of now. A URDF that does not fit keeps the robot from moving; without one the embodiment is believed.

    With `limits_from: robot_description` the URDF is waited for and narrows the embodiment's limits; else these must lie inside it.
    """

    def __init__(self, node: DialNode, embodiment: Embodiment, on_change: Callable[[Guard], None]) -> None:
        """`on_change` is called with the guard of a URDF that narrows the limits.

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
        self.misfit = ""  # why the newest URDF does not fit
        self._narrows, self._heard = source == "robot_description", False
        self._subscription = node.create_subscription(String, "robot_description", self._on_robot_description, qos.LATCHED)

    @property
    def input(self) -> Input:
        """For the state machine: missing while limits are waited for or the URDF does not fit."""
        missing = self.misfit or (self._narrows and not self._heard)
        return Input(None if missing else 0.0, 1.0, self.misfit)

    @property
    def listened(self) -> bool:
        """Whether the URDF has come, or nobody publishes one."""
        return self._heard or not self._node.count_publishers(self._subscription.topic_name)

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _on_robot_description(self, message: String) -> None:
        self._heard = True
        try:
            self._take(read_description(message.data))
        except DialError as error:
            self.misfit = str(error)
            self._node.complain("robot_description", self.misfit, grave=True)
            return
        self.misfit = ""

    def _take(self, robot: RobotDescription) -> None:
        """Raises DialError if the robot does not fit; else the limits are its own, if they are to come from it."""
        if missing := missing_from_description(self._embodiment, robot):
            raise DialError(missing)
        guard = Guard.for_embodiment(self._embodiment, self._margins, robot.limits if self._narrows else None)
        if beyond := limits_beyond(self._embodiment, guard, robot):
            raise DialError(beyond)
        if self._narrows:
            self.guard = guard
            self._on_change(guard)
