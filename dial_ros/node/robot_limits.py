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
    """The limits in use. A URDF that does not fit keeps the robot from moving; without one the embodiment's are used.

    With `limits_from: robot_description` the URDF is waited for and narrows the embodiment's limits; else these must lie inside it.
    """

    def __init__(
        self,
        node: DialNode,
        embodiment: Embodiment,
        on_change: Callable[[Guard], None],
        margins: Margins | None = None,
        always_narrows: bool = False,
    ) -> None:
        """Subscribes to `robot_description`.

        Args:
            on_change: called with the limits of a URDF that narrows them.
            margins: how far inside the limits to stay.
            always_narrows: a URDF narrows the limits whatever `limits_from` says, which then only decides whether it is waited for.

        Raises:
            DialError: an unknown source, or margins that leave a joint no room.
        """
        source = node.value("limits_from")
        if source not in SOURCES:
            raise DialError(f"limits_from '{source}' is not known; choose one of: {', '.join(SOURCES)}")
        self._node, self._embodiment, self._on_change = node, embodiment, on_change
        self._margins = margins or Margins()
        self.guard, self.without_margins = Guard.for_embodiment(embodiment, self._margins), Guard.for_embodiment(embodiment)
        self.misfit = ""  # why the newest URDF does not fit
        self._waits, self._received = source == "robot_description", False
        self._narrows = self._waits or always_narrows
        self._subscription = node.create_subscription(String, "robot_description", self._on_robot_description, qos.LATCHED)

    @property
    def input(self) -> Input:
        """For the state machine: missing while limits are waited for or the URDF does not fit."""
        missing = self.misfit or (self._waits and not self._received)
        return Input(None if missing else 0.0, 1.0, self.misfit)

    @property
    def listened(self) -> bool:
        """Whether the URDF has come, or nobody publishes one."""
        return self._received or not self._node.count_publishers(self._subscription.topic_name)

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _on_robot_description(self, message: String) -> None:
        self._received = True
        try:
            self._take(read_description(message.data))
        except DialError as error:
            self.misfit = str(error)
            self._node.complain("robot_description", self.misfit, grave=True)
            return
        self.misfit = ""

    def _take(self, robot: RobotDescription) -> None:
        """Raises DialError if the robot does not fit; else narrows the limits, if they are to come from it."""
        if missing := missing_from_description(self._embodiment, robot):
            raise DialError(missing)
        narrower = robot.limits if self._narrows else None
        guard = Guard.for_embodiment(self._embodiment, self._margins, narrower)
        if beyond := limits_beyond(self._embodiment, guard, robot):
            raise DialError(beyond)
        if self._narrows:
            self.guard, self.without_margins = guard, Guard.for_embodiment(self._embodiment, urdf=narrower)
            self._on_change(guard)


def margins_of(node: DialNode) -> Margins:
    """The margins that a node's parameters give."""
    names = {"position": "position_margin", "velocity": "velocity_share", "acceleration": "acceleration_share", "jump": "max_jump"}
    return Margins(**{field: node.value(name) for field, name in names.items()})
