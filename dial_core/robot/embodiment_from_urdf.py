"""A first embodiment YAML from a robot's URDF: joints by group, limits, the kinematic tree above the base, controllers."""

import math
import re
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
import yaml

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.urdf_text import parse_urdf

MOVABLE = ("revolute", "continuous")
FASTEST_RAD_S = {"arm": 3.0, "hand": 6.0, "waist": 1.5, "head": 1.5}  # for manipulation; motors do more
ACCELERATION_RAD_S2 = {"arm": 25.0, "hand": 100.0, "waist": 10.0, "head": 10.0}
CAMERA = {"name": "ego", "topic": "camera/color/image_raw", "frame": "camera_color_optical_frame", "height": 480, "width": 640}


def embodiment_from_urdf(
    text: str, name: str, base: str, wrists: tuple[str, str], groups: Mapping[str, str], rate_hz: float = 20.0
) -> dict:
    """The values of an embodiment YAML, valid as they are; home is the zero pose, moved inside the limits.

    Args:
        text: the URDF, processed (no xacro).
        name: of the embodiment.
        base: link in whose frame wrist poses are expressed; only what hangs below it is kept.
        wrists: links of the left and the right wrist.
        groups: group -> regular expression that its joints' names match whole; vector order is that of the groups, and of
            the URDF within one. Each group becomes a controller.
        rate_hz: control rate [Hz].

    Raises:
        DialError: not a URDF, a group without joints, an unknown link.
    """
    robot = parse_urdf(text, "the URDF")
    hinges = {_end(joint, "child"): joint for joint in robot.findall("joint")}
    known = {link.get("name", "") for link in robot.findall("link")}
    for link in (base, *wrists):
        if link not in known:
            raise DialError(f"the URDF has no link '{link}'; its links: {', '.join(sorted(known))}")
    needed = {link for wrist in wrists for link in _chain(wrist, base, hinges)} | {base}
    order = _below(base, hinges)
    joints, controllers, taken = [], [], set()
    for group, pattern in groups.items():
        found = [hinges[link] for link in order if link != base and _movable(hinges[link]) and re.fullmatch(pattern, _name(hinges[link]))]
        found = [joint for joint in found if _name(joint) not in taken]
        if not found:
            free = ", ".join(_name(hinges[link]) for link in order if link != base and _movable(hinges[link]))
            raise DialError(f"group '{group}': no joint matches '{pattern}'; movable joints: {free}")
        taken |= {_name(joint) for joint in found}
        joints += [_joint(joint, group) for joint in found]
        controllers.append({"name": f"{group}_controller", "joints": [_name(joint) for joint in found]})
    values = {
        "name": name,
        "rate_hz": rate_hz,
        "base": base,
        "wrists": {"left": wrists[0], "right": wrists[1]},
        "joints": joints,
        "links": [_link(link, base, hinges, robot) for link in order if link in needed],
        "controllers": controllers,
        "cameras": [dict(CAMERA)],
    }
    validate(Embodiment, values, source=f"embodiment '{name}' from the URDF")
    return values


def to_yaml(values: dict, heading: str) -> str:
    """The values as a YAML text with one line a joint, link, controller and camera."""
    lines = [f"# {line}" for line in heading.splitlines()]
    for key, value in values.items():
        if isinstance(value, list):
            lines += ["", f"{key}:"] + [f"  - {_flow(item)}" for item in value]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip().removesuffix("...").strip()


def _below(base: str, hinges: Mapping[str, ElementTree.Element]) -> list[str]:
    """The base and all links that hang from it, parents first, in the order of the URDF's joints."""
    order, waiting = [], [base]
    while waiting:
        link = waiting.pop(0)
        order.append(link)
        children = [child for child, joint in hinges.items() if _end(joint, "parent") == link]
        waiting = children + waiting
    return order


def _chain(link: str, base: str, hinges: Mapping[str, ElementTree.Element]) -> list[str]:
    chain: list[str] = []
    while link != base:
        if link not in hinges:
            raise DialError(f"link '{chain[0] if chain else link}' does not hang below base '{base}'")
        chain.append(link)
        link = _end(hinges[link], "parent")
    return chain


def _name(joint: ElementTree.Element) -> str:
    return joint.get("name", "")


def _end(joint: ElementTree.Element, side: str) -> str:
    """The joint's `parent` or `child` link."""
    link = joint.find(side)
    if link is None or not link.get("link"):
        raise DialError(f"joint '{_name(joint)}' of the URDF has no {side} link")
    return link.get("link", "")


def _movable(joint: ElementTree.Element) -> bool:
    return joint.get("type") in MOVABLE


def _joint(joint: ElementTree.Element, group: str) -> dict:
    limit = joint.find("limit")
    kind = next((kind for kind in FASTEST_RAD_S if kind in group), "arm")
    lower = -math.pi if limit is None else float(limit.get("lower", -math.pi))
    upper = math.pi if limit is None else float(limit.get("upper", math.pi))
    motor = math.inf if limit is None else float(limit.get("velocity", math.inf)) or math.inf
    return {
        "name": _name(joint),
        "group": group,
        "lower": _short(lower, up=True),
        "upper": _short(upper, up=False),
        "velocity": min(FASTEST_RAD_S[kind], motor),
        "acceleration": ACCELERATION_RAD_S2[kind],
        "home": min(max(0.0, _short(lower, up=True)), _short(upper, up=False)),
    }


def _short(limit: float, up: bool) -> float:
    """Four decimals, rounded to the inside."""
    return (math.ceil if up else math.floor)(limit * 1e4 - 1e-6 if up else limit * 1e4 + 1e-6) / 1e4


def _link(link: str, base: str, hinges: Mapping[str, ElementTree.Element], robot: ElementTree.Element) -> dict:
    mass = next((e for body in robot.findall("link") if body.get("name") == link for e in body.iter("mass")), None)
    entry: dict = {"body": link, "parent": None, "mass": 0.0 if mass is None else round(float(mass.get("value", 0)), 4)}
    if link == base:
        return entry
    joint = hinges[link]
    origin, axis = joint.find("origin"), joint.find("axis")
    entry["parent"] = _end(joint, "parent")
    entry["position"] = _numbers(None if origin is None else origin.get("xyz"))
    entry["quaternion"] = _quaternion(_numbers(None if origin is None else origin.get("rpy")))
    if _movable(joint):
        entry["joint"] = _name(joint)
        entry["axis"] = _numbers(None if axis is None else axis.get("xyz"), "1 0 0")
    return entry


def _numbers(text: str | None, absent: str = "0 0 0") -> list[float]:
    return [round(float(word), 6) for word in (text or absent).split()]


def _quaternion(rpy: list[float]) -> list[float]:
    """wxyz of a URDF's roll, pitch and yaw (fixed axes x, y, z) [rad]."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(np.array(rpy) / 2), np.sin(np.array(rpy) / 2)
    w, x = cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy
    y, z = cr * sp * cy + sr * cp * sy, cr * cp * sy - sr * sp * cy
    return [round(float(value), 6) for value in (w, x, y, z)]
