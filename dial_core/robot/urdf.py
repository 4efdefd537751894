"""What a robot's URDF (`robot_description`) says of its joints: their limits, and which of them no controller moves."""

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from dial_core.errors import DialError
from dial_core.robot.urdf_text import parse_urdf

MOVABLE = ("revolute", "continuous", "prismatic")


@dataclass(frozen=True)
class JointLimits:
    """Of one joint: positions [rad or m], speed [rad/s or m/s]; infinite where the URDF gives none."""

    lower: float
    upper: float
    velocity: float


@dataclass(frozen=True)
class RobotDescription:
    """The joints of a URDF by name.

    Fields:
        limits: of those that a controller can move.
        unmoved: of the others, why it cannot: their type, such as `fixed`, or `follows` another joint.
    """

    limits: dict[str, JointLimits]
    unmoved: dict[str, str]


def read_description(text: str) -> RobotDescription:
    """The joints of a URDF, from its text. A `safety_controller`'s soft limits narrow the hard ones.

    Raises:
        DialError: not a URDF, or a limit that is no number.
    """
    limits, unmoved = {}, {}
    for joint in parse_urdf(text, "robot_description").findall("joint"):
        name, mimic = joint.get("name", ""), joint.find("mimic")
        if joint.get("type") not in MOVABLE:
            unmoved[name] = joint.get("type", "without a type")
        elif mimic is not None:
            unmoved[name] = f"follows {mimic.get('joint')}"
        else:
            limits[name] = _limits_of(name, joint)
    return RobotDescription(limits, unmoved)


def _limits_of(name: str, joint: ElementTree.Element) -> JointLimits:
    hard, soft = joint.find("limit"), joint.find("safety_controller")
    turns_endlessly = joint.get("type") == "continuous"
    lower = -math.inf if turns_endlessly else _number(name, hard, "lower", 0.0)
    upper = math.inf if turns_endlessly else _number(name, hard, "upper", 0.0)
    lower = max(lower, _number(name, soft, "soft_lower_limit", -math.inf))
    upper = min(upper, _number(name, soft, "soft_upper_limit", math.inf))
    velocity = _number(name, hard, "velocity", math.inf)
    return JointLimits(lower, upper, velocity or math.inf)  # 0 is what exporters write when they know none


def _number(joint: str, element: ElementTree.Element | None, key: str, absent: float) -> float:
    if element is None or element.get(key) is None:
        return absent
    text = element.get(key, "")
    try:
        value = float(text)
    except ValueError as error:
        raise DialError(f"robot_description, joint '{joint}': {key} is '{text}', not a number") from error
    if math.isnan(value):
        raise DialError(f"robot_description, joint '{joint}': {key} is not a number")
    return value
