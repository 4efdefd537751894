"""The simulated upper body as a URDF, for simulators that read it (Gazebo): from the same tables as the MuJoCo model.

A finger's command is the sum of two coupled hinges. In the URDF a joint of that name drives a massless link, and the two
hinges mimic it with half the angle each, so that controllers and joint states mean the same as everywhere.
"""

import math
from xml.etree import ElementTree

import numpy as np

from dial_core.config import load_config
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.rotations import from_quaternion, from_rpy, to_rpy
from dial_core.sim.robot import MIRROR, BodyShapes, Hand, HandLink, Shape, left_name

HAND_GROUPS = {False: "right_hand", True: "left_hand"}

Element = ElementTree.Element


def robot_urdf(embodiment: Embodiment, base_height_m: float = 0.0) -> str:
    """The URDF of an embodiment with body and hand tables (`<name>_body.yaml`, `<name>_hand.yaml`), fixed to `world`.

    Args:
        embodiment: the robot.
        base_height_m: of its base link above `world`.
    """
    shapes = load_config(BodyShapes, "embodiments", f"{embodiment.name}_body")
    hand = load_config(Hand, "embodiments", f"{embodiment.name}_hand")
    robot = Element("robot", name=embodiment.name)
    _sub(robot, "link", name="world")
    for link in embodiment.links:
        body = _link(robot, link.body, link.mass)
        for shape, flip in _shapes_of(link.body, shapes):
            _shape(body, shape, flip, shapes)
        commanded = {joint.name: joint for joint in embodiment.joints}
        parent = link.parent or "world"
        position = np.array(link.position) + ([0, 0, base_height_m] if link.parent is None else [0, 0, 0])
        if link.joint in commanded:
            joint = commanded[link.joint]
            limit = (joint.lower, joint.upper, joint.velocity, shapes.servos[joint.group].force_limit)
            _joint(robot, joint.name, parent, link.body, position, np.array(link.quaternion), link.axis, limit)
        else:  # a hinge that nobody commands (the head's) stands still
            _joint(robot, f"{link.body}_fixed", parent, link.body, position, np.array(link.quaternion))
    for left in (False, True):
        _hand(robot, hand, shapes, embodiment, left)
    _camera(robot, shapes)
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding="unicode")


def _shapes_of(body: str, shapes: BodyShapes) -> list[tuple[Shape, np.ndarray]]:
    """The shapes on a body, with the signs that mirror those that the other side lends."""
    own = [(shape, np.ones(3)) for shape in shapes.shapes if shape.body == body]
    return own + [(shape, MIRROR) for shape in shapes.shapes if shapes.mirrored.get(shape.body) == body]


def _hand(robot: Element, hand: Hand, shapes: BodyShapes, embodiment: Embodiment, left: bool) -> None:
    flip = MIRROR if left else np.ones(3)
    named = left_name if left else str
    palm = _link(robot, named(hand.palm.body), hand.palm.mass)
    _geometry(palm, "box", flip * hand.palm.position, None, {"size": _text(2 * np.array(hand.palm.size))}, shapes.colours["palm"])
    _joint(robot, named(f"{hand.palm.body}_fixed"), named(hand.mount), named(hand.palm.body), np.zeros(3), np.array([1.0, 0, 0, 0]))
    effort = shapes.servos[HAND_GROUPS[left]].force_limit
    joints = {joint.name: joint for joint in embodiment.joints}
    for command, hinges in hand.couplings.items():
        if len(hinges) > 1:
            joint = joints[named(command)]
            _link(robot, f"{joint.name}_drive", 0.001)
            limit = (joint.lower, joint.upper, joint.velocity, effort)
            _joint(robot, joint.name, named(hand.palm.body), f"{joint.name}_drive", np.zeros(3), np.array([1.0, 0, 0, 0]), (0, 0, 1), limit)
    drives = {hinge: command for command, hinges in hand.couplings.items() if len(hinges) > 1 for hinge in hinges}
    for link in hand.links:
        _phalanx(robot, link, shapes, named, flip, joints, drives.get(link.joint), effort, left)


def _phalanx(robot: Element, link: HandLink, shapes: BodyShapes, named, flip, joints, drive: str | None, effort: float, left: bool) -> None:
    body = _link(robot, named(link.body), link.mass)
    if link.tip is not None:
        _capsule(body, np.zeros(3), flip * link.tip, link.radius, shapes.colours[link.colour])
    w, x, y, z = link.quaternion
    quaternion = np.array((w, -x, y, -z) if left else link.quaternion)
    axis = tuple(-flip * link.axis if left else link.axis)  # a hinge axis is a pseudovector: see `robot.add_robot`
    name = named(link.joint) + ("_hinge" if drive else "")
    speed = joints[named(drive or link.joint)].velocity
    joint = _joint(robot, name, named(link.parent), named(link.body), flip * link.position, quaternion, axis, (*link.range, speed, effort))
    if drive:
        _sub(joint, "mimic", joint=named(drive), multiplier="0.5", offset="0")


def _camera(robot: Element, shapes: BodyShapes) -> None:
    """The head camera as `<name>_link` (x ahead) and `<name>_optical_frame` (z ahead), after REP 103 and 105."""
    mount = shapes.camera
    _link(robot, f"{mount.name}_link", 0.001)
    pitch, yaw = np.array([0.0, mount.pitch_down_rad, 0.0]), np.array([0.0, 0.0, mount.yaw_rad])
    rotation = from_rpy(yaw) @ from_rpy(pitch)
    _joint(robot, f"{mount.name}_mount", mount.body, f"{mount.name}_link", np.array(mount.position), rotation)
    _link(robot, f"{mount.name}_optical_frame", 0.001)
    optical = from_rpy(np.array([-math.pi / 2, 0.0, -math.pi / 2]))
    _joint(robot, f"{mount.name}_optical", f"{mount.name}_link", f"{mount.name}_optical_frame", np.zeros(3), optical)


def _shape(body: Element, shape: Shape, flip: np.ndarray, shapes: BodyShapes) -> None:
    colour = shapes.colours[shape.colour]
    if shape.type == "box":
        _geometry(body, "box", flip * shape.position, None, {"size": _text(2 * np.array(shape.size))}, colour)
    else:
        _capsule(body, flip * shape.start, flip * shape.end, shape.radius, colour)


def _capsule(body: Element, start: np.ndarray, end: np.ndarray, radius: float, colour) -> None:
    """A cylinder with a sphere at either end: URDF has no capsules."""
    along = end - start
    length = float(np.linalg.norm(along))
    rotation = _turn_z_to(along / length)
    size = {"radius": f"{radius:.6g}", "length": f"{length:.6g}"}
    _geometry(body, "cylinder", (start + end) / 2, rotation, size, colour)
    for centre in (start, end):
        _geometry(body, "sphere", centre, None, {"radius": f"{radius:.6g}"}, colour)


def _geometry(body: Element, kind: str, position: np.ndarray, rotation: np.ndarray | None, size: dict[str, str], colour) -> None:
    for role in ("visual", "collision"):
        element = _sub(body, role)
        _origin(element, position, np.eye(3) if rotation is None else rotation)
        _sub(_sub(element, "geometry"), kind, **size)
        if role == "visual":
            name = f"colour_{'_'.join(f'{round(255 * value)}' for value in colour)}"
            _sub(_sub(element, "material", name=name), "color", rgba=_text([*colour, 1.0]))


def _link(robot: Element, name: str, mass: float) -> Element:
    link = _sub(robot, "link", name=name)
    # Shapes are for rendering and contact; the inertia is that of a small sphere, as in the MuJoCo model. Links without mass of
    # their own get a little: Gazebo drops a link that has none.
    mass = max(mass, 0.001)
    inertial = _sub(link, "inertial")
    _sub(inertial, "mass", value=f"{mass:.6g}")
    inertia = f"{0.4 * mass * 0.05**2:.6g}"
    _sub(inertial, "inertia", ixx=inertia, iyy=inertia, izz=inertia, ixy="0", ixz="0", iyz="0")
    return link


def _joint(robot: Element, name: str, parent: str, child: str, position, rotation, axis=None, limit=None) -> Element:
    """A fixed joint, or a hinge about `axis` with `limit` (lower, upper [rad], velocity [rad/s], effort [N m])."""
    joint = _sub(robot, "joint", name=name, type="fixed" if axis is None else "revolute")
    rotation = from_quaternion(rotation) if rotation.shape == (4,) else rotation
    _origin(joint, position, rotation)
    _sub(joint, "parent", link=parent)
    _sub(joint, "child", link=child)
    if axis is not None:
        lower, upper, velocity, effort = limit
        _sub(joint, "axis", xyz=_text(axis))
        _sub(joint, "limit", lower=f"{lower:g}", upper=f"{upper:g}", velocity=f"{velocity:g}", effort=f"{effort:g}")
        _sub(joint, "dynamics", damping="0.5", friction="0")
    return joint


def _origin(element: Element, position: np.ndarray, rotation: np.ndarray) -> None:
    _sub(element, "origin", xyz=_text(position), rpy=_text(to_rpy(rotation)))


def _turn_z_to(direction: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) that turns z to `direction` (3,)."""
    across = np.array([1.0, 0, 0]) if abs(direction[0]) < 0.9 else np.array([0.0, 1, 0])
    x = np.cross(across, direction)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(direction, x), direction], axis=1)


def _sub(parent: Element, tag: str, **attributes: str) -> Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _text(values) -> str:
    return " ".join(f"{value:.9g}" for value in np.asarray(values, dtype=float))
