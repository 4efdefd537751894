"""A first embodiment YAML from a robot's URDF: joints by group, limits, the kinematic tree above the base, controllers."""

import math
import re
from collections.abc import Mapping, Sequence

import yaml

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.urdf import Urdf, UrdfJoint

# Limits for manipulation by kind of group; the motors' own, if lower, take precedence. A prismatic joint has [m] for [rad].
VELOCITY_RAD_S = {"arm": 3.0, "hand": 6.0, "waist": 1.5, "head": 1.5}
ACCELERATION_RAD_S2 = {"arm": 25.0, "hand": 100.0, "waist": 10.0, "head": 10.0}
PRISMATIC_VELOCITY_M_S, PRISMATIC_ACCELERATION_M_S2 = 0.2, 1.0
MAX_LIMIT_RAD = 4 * math.pi  # beyond two turns a revolute joint's limits are more likely degrees
MAX_LIMIT_M = 20.0  # and beyond this a prismatic joint's are more likely millimetres
ENDLESS_RAD = 3.1415  # range given to a continuous joint: one turn, so that normalisation and planning have one
CAMERA = {"name": "ego", "topic": "camera/color/image_raw", "frame": "camera_color_optical_frame", "height": 480, "width": 640}
_DECIMALS = 9  # of positions and quaternions: kinematics within 1e-8 m of the URDF's


def embodiment_from_urdf(
    urdf: Urdf, name: str, base: str, wrists: tuple[str, str], groups: Mapping[str, str], rate_hz: float = 20.0
) -> dict:
    """The values of an embodiment YAML, valid as they are; home is the zero pose, moved inside the limits.

    Args:
        name: of the embodiment.
        base: link in whose frame wrist poses are expressed; only what hangs below it is kept.
        wrists: links of the left and the right wrist.
        groups: group -> regular expression that its joints' names match whole; vector order is that of the groups, and of
            the URDF within one. Each group becomes a controller. Mimic joints follow another joint and are never commanded.
        rate_hz: control rate [Hz].

    Raises:
        DialError: a group without joints, an unknown link, or a joint without a usable range.
    """
    for link in (base, *wrists):
        if link not in urdf.links:
            raise DialError(f"the URDF has no link '{link}'; its links: {', '.join(sorted(urdf.links))}")
    by_child = {joint.child: joint for joint in urdf.joints.values()}
    order = _below(base, urdf)
    needed = {link for wrist in wrists for link in _chain(wrist, base, by_child)} | {base}
    chosen = _joints_of_groups([by_child[link] for link in order if link != base], groups)
    values = {
        "name": name,
        "rate_hz": rate_hz,
        "base": base,
        "wrists": {"left": wrists[0], "right": wrists[1]},
        "joints": [_joint(joint, group) for group, joints in chosen.items() for joint in joints],
        "links": [_link(link, base, by_child, urdf) for link in order if link in needed],
        "controllers": [{"name": f"{group}_controller", "joints": [joint.name for joint in joints]} for group, joints in chosen.items()],
        "cameras": [dict(CAMERA)],
    }
    validate(Embodiment, values, source=f"embodiment '{name}' from the URDF")
    return values


def remarks(urdf: Urdf, values: Mapping) -> list[str]:
    """Returns remarks on the joints that the embodiment `values` does not command, one line each."""
    commanded = {joint["name"] for joint in values["joints"]}
    kept = {link["body"]: link for link in values["links"]}
    carried = kept.keys() - {values["base"]}
    followers = [joint.name for joint in urdf.joints.values() if joint.mimic and joint.mimic.joint in commanded]
    still = [joint.name for joint in urdf.joints.values() if joint.child in carried and joint.commandable and joint.name not in commanded]
    found = [f"not commanded, as they mimic another joint: {', '.join(followers)}"] if followers else []
    if still:
        found.append(f"between base and wrists, but in no group, so kinematics takes them at 0: {', '.join(still)}")
    loose = [joint.name for joint in urdf.joints.values() if joint.child in carried and joint.kind in ("floating", "planar")]
    if loose:
        found.append(f"floating or planar between base and wrists, so kinematics takes them at 0: {', '.join(loose)}")
    return found


def to_yaml(values: dict, heading: str) -> str:
    """The values as a YAML text with one line for each joint, link, controller and camera."""
    lines = [f"# {line}" for line in heading.splitlines()]
    for key, value in values.items():
        if isinstance(value, list):
            lines += ["", f"{key}:"] + [f"  - {_flow(item)}" for item in value]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip().removesuffix("...").strip()


def _below(base: str, urdf: Urdf) -> list[str]:
    """Returns the base and all links below it, parents first, in the order of the URDF's joints."""
    children: dict[str, list[str]] = {}
    for joint in urdf.joints.values():
        for end, link in (("parent", joint.parent), ("child", joint.child)):
            if link not in urdf.links:
                wrong = f"a {end} link '{link}' that is not among the links" if link else f"no {end} link"
                raise DialError(f"joint '{joint.name}' of the URDF has {wrong}")
        children.setdefault(joint.parent, []).append(joint.child)
    order, waiting = [], [base]
    while waiting:
        link = waiting.pop(0)
        if link in order:
            raise DialError(f"the joints of the URDF form a loop through link '{link}'; a URDF is a tree")
        order.append(link)
        waiting = children.get(link, []) + waiting
    return order


def _chain(link: str, base: str, by_child: Mapping[str, UrdfJoint]) -> list[str]:
    chain: list[str] = []
    while link != base:
        if link not in by_child or link in chain:
            raise DialError(f"link '{chain[0] if chain else link}' does not hang below base '{base}'")
        chain.append(link)
        link = by_child[link].parent
    return chain


def _joints_of_groups(joints: Sequence[UrdfJoint], groups: Mapping[str, str]) -> dict[str, list[UrdfJoint]]:
    """Commandable joints by group; a joint that several patterns match belongs to the first."""
    free = {joint.name: joint for joint in joints if joint.commandable}
    chosen: dict[str, list[UrdfJoint]] = {}
    for group, pattern in groups.items():
        try:
            chosen[group] = [joint for joint in free.values() if re.fullmatch(pattern, joint.name)]
        except re.error as error:
            raise DialError(f"group '{group}': '{pattern}' is not a regular expression: {error}") from error
        if not chosen[group]:
            followers = [joint.name for joint in joints if joint.mimic and re.fullmatch(pattern, joint.name)]
            mimics = f" (those that do mimic another joint: {', '.join(followers)})" if followers else ""
            movable = ", ".join(joint.name for joint in joints if joint.commandable)
            taken = " that no earlier group has" if any(chosen.values()) else ""
            raise DialError(f"group '{group}': no joint{taken} matches '{pattern}'{mimics}; movable joints: {movable or 'none'}")
        for joint in chosen[group]:
            del free[joint.name]
    return chosen


def _joint(joint: UrdfJoint, group: str) -> dict:
    lower, upper = _range(joint)
    assert joint.limits is not None
    kind = next((kind for kind in VELOCITY_RAD_S if kind in group), "arm")
    slides = joint.kind == "prismatic"
    return {
        "name": joint.name,
        "group": group,
        "lower": lower,
        "upper": upper,
        "velocity": min(PRISMATIC_VELOCITY_M_S if slides else VELOCITY_RAD_S[kind], joint.limits.velocity),
        "acceleration": min(PRISMATIC_ACCELERATION_M_S2 if slides else ACCELERATION_RAD_S2[kind], joint.limits.acceleration),
        "home": min(max(0.0, lower), upper),
    }


def _range(joint: UrdfJoint) -> tuple[float, float]:
    """Lower and upper limit, four decimals, rounded to the inside.

    Raises:
        DialError: the joint cannot move, has no end, or is given in degrees or millimetres.
    """
    assert joint.limits is not None
    lower, upper = joint.limits.lower, joint.limits.upper
    if joint.kind == "continuous":
        lower, upper = max(lower, -ENDLESS_RAD), min(upper, ENDLESS_RAD)
    where = f"joint '{joint.name}' of the URDF ({joint.kind})"
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise DialError(f"{where} has limits {lower:g} to {upper:g}; give it finite ones, or make it continuous")
    if not lower < upper:
        raise DialError(
            f"{where} has limits {lower:g} to {upper:g}, so it cannot move (an omitted `lower` or `upper` is 0); "
            "correct its <limit>, or leave it out of the groups"
        )
    if joint.kind == "revolute" and max(abs(lower), abs(upper)) > MAX_LIMIT_RAD:
        raise DialError(f"{where} has limits {lower:g} to {upper:g} rad: are these degrees? A URDF is in radians")
    if joint.kind == "prismatic" and max(abs(lower), abs(upper)) > MAX_LIMIT_M:
        raise DialError(f"{where} has limits {lower:g} to {upper:g} m: are these millimetres? A URDF is in metres")
    lower, upper = math.ceil(lower * 1e4 - 1e-6) / 1e4, math.floor(upper * 1e4 + 1e-6) / 1e4
    if not lower < upper:
        raise DialError(f"{where} has a range below 0.0001: it cannot be controlled; leave it out of the groups")
    return lower, upper


def _link(link: str, base: str, by_child: Mapping[str, UrdfJoint], urdf: Urdf) -> dict:
    entry: dict = {"body": link, "parent": None, "mass": round(urdf.links[link], 4)}
    if link == base:
        return entry
    joint = by_child[link]
    entry["parent"] = joint.parent
    entry["position"] = [round(value, _DECIMALS) for value in joint.position]
    entry["quaternion"] = [round(value, _DECIMALS) for value in joint.quaternion]
    if joint.limits is not None:
        leader, multiplier, offset = _leader(joint, urdf)
        entry["joint"] = leader
        entry["axis"] = [round(value, _DECIMALS) for value in joint.axis]
        entry |= {"kind": "prismatic"} if joint.kind == "prismatic" else {}
        entry |= {"multiplier": multiplier, "offset": offset} if joint.mimic else {}
    return entry


def _leader(joint: UrdfJoint, urdf: Urdf) -> tuple[str, float, float]:
    """The joint that moves this one, itself or the end of a chain of mimics, with multiplier and offset."""
    multiplier, offset = 1.0, 0.0
    for _ in urdf.joints:
        if joint.mimic is None:
            return joint.name, multiplier, offset
        offset += multiplier * joint.mimic.offset
        multiplier *= joint.mimic.multiplier
        joint = urdf.joints[joint.mimic.joint]
    raise DialError(f"joint '{joint.name}' of the URDF mimics itself")
