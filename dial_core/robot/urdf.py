"""The one reader of URDF: links, joints, limits and mimic joints as the specification defines them.

Specification: http://wiki.ros.org/urdf/XML/joint. Omitted `lower` and `upper` are 0, `axis` is "1 0 0", `multiplier` is 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from dial_core.errors import DialError
from dial_core.robot.rotations import quaternion_from_rpy
from dial_core.robot.urdf_text import decoded, robot_element

MOVABLE = ("revolute", "continuous", "prismatic")  # along one axis
UNMOVABLE = ("fixed", "floating", "planar")  # by a controller

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True)
class JointLimits:
    """Range of one joint: positions [rad or m], speed [rad/s or m/s], acceleration; infinite where the URDF sets none."""

    lower: float
    upper: float
    velocity: float
    acceleration: float = math.inf  # of URDF 1.2


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another one: position = `multiplier` * position of `joint` + `offset`."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class UrdfJoint:
    """One joint element.

    Attributes:
        kind: its `type`: revolute, continuous, prismatic, fixed, floating or planar.
        position, quaternion: of the joint frame in the parent link's frame [m], wxyz.
        axis: of rotation or translation in the joint frame, unit length.
        limits: hard limits narrowed by the `safety_controller`'s soft ones; None for joints that do not move along one axis.
        mimic: the joint that it follows, if any.
    """

    name: str
    kind: str
    parent: str
    child: str
    position: Vector
    quaternion: Quaternion
    axis: Vector
    limits: JointLimits | None
    mimic: Mimic | None

    @property
    def commandable(self) -> bool:
        """Whether a controller can move it: along one axis, and not as the follower of another joint."""
        return self.limits is not None and self.mimic is None


@dataclass(frozen=True)
class Urdf:
    """A robot: masses [kg] of the links and the joints, both by name in the order of the file."""

    name: str
    links: dict[str, float]
    joints: dict[str, UrdfJoint]


@dataclass(frozen=True)
class RobotDescription:
    """The joints of a URDF by name.

    Attributes:
        limits: of those that a controller can move.
        unmoved: why the others cannot be moved: their type, such as `fixed`, or `follows` another joint.
    """

    limits: dict[str, JointLimits]
    unmoved: dict[str, str]


def read_description(text: str) -> RobotDescription:
    """Reads from a URDF the limits of the joints that a controller can move, and why it cannot move the others.

    Raises:
        DialError: not a URDF, or a joint that the specification does not allow; the message names it.
    """
    joints = parse_urdf(text, "robot_description").joints
    limits = {name: joint.limits for name, joint in joints.items() if joint.limits is not None and joint.mimic is None}
    return RobotDescription(
        limits,
        {name: f"follows {joint.mimic.joint}" if joint.mimic else joint.kind for name, joint in joints.items() if name not in limits},
    )


def read_urdf(path: Path) -> Urdf:
    """The robot in a URDF file, in whatever encoding its first line names (UTF-8 if it names none).

    Raises:
        DialError: no such file, text in another encoding, not a URDF, or a joint that the specification does not allow.
    """
    return parse_urdf(decoded(path), path.name)


def parse_urdf(text: str, source: str) -> Urdf:
    """The robot described by the text of a URDF; `source` is what errors call the text, such as `robot_description`.

    Raises:
        DialError: too long, with XML entities, not XML, unprocessed xacro, or joints that the specification does not allow.
    """
    robot = robot_element(text, source)
    elements, links = robot.findall("joint"), robot.findall("link")
    for what, named in (("joint", elements), ("link", links)):
        _require_own_names(what, [element.get("name", "") for element in named], source)
    joints = {joint.name: joint for joint in (_joint(element, source) for element in elements)}
    if repeated := _repeated(joint.child for joint in joints.values() if joint.child):
        raise DialError(f"{source}: link '{repeated}' is the child of several joints; a URDF is a tree")
    for joint in joints.values():
        if joint.mimic and joint.mimic.joint not in joints:
            raise DialError(f"{source}, joint '{joint.name}': it mimics '{joint.mimic.joint}', which is not a joint of this URDF")
    return Urdf(robot.get("name", ""), {link.get("name", ""): _mass(link, source) for link in links}, joints)


def _require_own_names(what: str, names: list[str], source: str) -> None:
    if not all(names):
        raise DialError(f"{source}: {what} {names.index('') + 1} of {len(names)} has no name")
    if repeated := _repeated(names):
        raise DialError(f"{source} has two {what}s named '{repeated}'")


def _repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _joint(element: ElementTree.Element, source: str) -> UrdfJoint:
    where = f"{source}, joint '{element.get('name', '')}'"
    kind = element.get("type", "")
    if kind not in (*MOVABLE, *UNMOVABLE):
        raise DialError(f"{where} has the type '{kind}'; types of the URDF specification: {', '.join((*MOVABLE, *UNMOVABLE))}")
    origin, mimic = element.find("origin"), element.find("mimic")
    return UrdfJoint(
        name=element.get("name", ""),
        kind=kind,
        parent=_link(element.find("parent")),
        child=_link(element.find("child")),
        position=_vector(where, origin, "xyz", "0 0 0"),
        quaternion=_rotation(where, origin),
        axis=_axis(where, element) if kind in MOVABLE else (1.0, 0.0, 0.0),
        limits=_limits(where, element, kind) if kind in MOVABLE else None,
        mimic=None
        if mimic is None
        else Mimic(mimic.get("joint", ""), _number(where, mimic, "multiplier", 1.0), _number(where, mimic, "offset", 0.0)),
    )


def _limits(where: str, element: ElementTree.Element, kind: str) -> JointLimits:
    hard, soft = element.find("limit"), element.find("safety_controller")
    if hard is None and kind != "continuous":
        raise DialError(f'{where} is {kind} and has no <limit>, which the URDF specification requires; add <limit lower="" upper="" .../>')
    endless = kind == "continuous"  # whatever its <limit> says of positions
    lower = -math.inf if endless else _number(where, hard, "lower", 0.0)
    upper = math.inf if endless else _number(where, hard, "upper", 0.0)
    lower = max(lower, _number(where, soft, "soft_lower_limit", -math.inf))
    upper = min(upper, _number(where, soft, "soft_upper_limit", math.inf))
    fastest = [_number(where, hard, key, math.inf) for key in ("velocity", "acceleration")]
    for key, value in zip(("velocity", "acceleration"), fastest, strict=True):
        if value < 0:
            raise DialError(f"{where}: {key} is {value:g}; a limit is positive")
    velocity, acceleration = (value or math.inf for value in fastest)  # exporters write 0 where they know none
    return JointLimits(lower, upper, velocity, acceleration)


def _rotation(where: str, origin: ElementTree.Element | None) -> Quaternion:
    """Quaternion wxyz of an origin: its `rpy` (fixed axes x, y, z), or the `quat_xyzw` of URDF 1.1."""
    if origin is None or origin.get("quat_xyzw") is None:
        rpy = _vector(where, origin, "rpy", "0 0 0")
        return quaternion_from_rpy(rpy) if any(rpy) else (1.0, 0.0, 0.0, 0.0)
    if origin.get("rpy") is not None:
        raise DialError(f"{where}: its origin has both rpy and quat_xyzw; keep one of them")
    text = origin.get("quat_xyzw", "")
    x, y, z, w = _numbers(where, "quat_xyzw", text, 4)
    length = math.hypot(x, y, z, w)
    if length < 1e-9:
        raise DialError(f"{where}: quat_xyzw is '{text}', which is no rotation")
    return (w / length, x / length, y / length, z / length)


def _axis(where: str, element: ElementTree.Element) -> Vector:
    axis = _vector(where, element.find("axis"), "xyz", "1 0 0")
    length = math.hypot(*axis)
    if length < 1e-9:
        raise DialError(f"{where}: its axis is 0 0 0, which has no direction")
    return (axis[0] / length, axis[1] / length, axis[2] / length)


def _vector(where: str, element: ElementTree.Element | None, key: str, absent: str) -> Vector:
    text = absent if element is None else element.get(key) or absent
    x, y, z = _numbers(where, key, text, 3)
    return (x, y, z)


def _numbers(where: str, key: str, text: str, count: int) -> list[float]:
    try:
        values = [_float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise DialError(f"{where}: {key} is '{text}', not {'three' if count == 3 else 'four'} numbers")
    if not all(map(math.isfinite, values)):
        raise DialError(f"{where}: {key} is '{text}', which is not finite")
    return values


def _float(text: str) -> float:
    if "_" in text:  # Python's spelling of 10_000
        raise ValueError(text)
    return float(text)


def _number(where: str, element: ElementTree.Element | None, key: str, absent: float) -> float:
    if element is None or element.get(key) is None:
        return absent
    text = element.get(key, "")
    try:
        value = _float(text)
    except ValueError as error:
        raise DialError(f"{where}: {key} is '{text}', not a number") from error
    if math.isnan(value):
        raise DialError(f"{where}: {key} is not a number")
    return value


def _link(end: ElementTree.Element | None) -> str:
    """Name of the link at one end of a joint; empty if the URDF does not say (which only matters to kinematics)."""
    return "" if end is None else end.get("link", "")


def _mass(link: ElementTree.Element, source: str) -> float:
    return sum(_number(f"{source}, link '{link.get('name', '')}'", mass, "value", 0.0) for mass in link.findall("inertial/mass"))
