"""The GR1 upper body as MuJoCo primitives: kinematic table + shapes + hands -> bodies, hinges, servos and the head camera."""

from typing import Literal

import mujoco
import numpy as np
from pydantic import Field

from dial_core.config import Config, load_config
from dial_core.robot.embodiment import Embodiment
from dial_core.sim.camera import CameraMount, Vector

Quaternion = tuple[float, float, float, float]
MIRROR = np.array([1.0, -1.0, 1.0])

# Contact classes: robot parts touch the world and objects but not each other.
ROBOT_CONTACT = {"contype": 1, "conaffinity": 2}
STATIC_CONTACT = {"contype": 2, "conaffinity": 1}
OBJECT_CONTACT = {"contype": 2, "conaffinity": 3}
NO_CONTACT = {"contype": 0, "conaffinity": 0}

GEOM_TYPES = {
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}


class Shape(Config):
    """One primitive on a body: a capsule between two points, or a box at a position [m]."""

    body: str
    type: Literal["capsule", "box"]
    colour: str
    radius: float = 0.0
    start: Vector = Field((0.0, 0.0, 0.0), alias="from")
    end: Vector = Field((0.0, 0.0, 0.0), alias="to")
    position: Vector = (0.0, 0.0, 0.0)
    size: Vector = (0.0, 0.0, 0.0)


class Servo(Config):
    """A position servo: stiffness [N m/rad], force limit [N m], rotor inertia [kg m2]; critically damped."""

    stiffness: float
    force_limit: float
    armature: float


class BodyShapes(Config):
    """Shapes, servos and camera of the simulated upper body (`config/embodiments/<name>_body.yaml`)."""

    name: str
    colours: dict[str, Vector]
    shapes: tuple[Shape, ...]
    mirrored: dict[str, str]
    servos: dict[str, Servo]
    camera: CameraMount


class HandLink(Config):
    """One phalanx: a hinge and, unless it has no tip, a capsule from its origin to `tip` [m]."""

    body: str
    parent: str
    position: Vector
    quaternion: Quaternion = (1.0, 0.0, 0.0, 0.0)
    joint: str
    axis: Vector
    range: tuple[float, float]
    mass: float
    radius: float = 0.0
    tip: Vector | None = None
    colour: str = "finger"


class Palm(Config):
    """The palm: a box in the wrist's frame [m]."""

    body: str
    mass: float
    position: Vector
    size: Vector


class Hand(Config):
    """The right hand's tree and couplings (`config/embodiments/<name>_hand.yaml`); the left one mirrors it."""

    name: str
    mount: str
    palm: Palm
    friction: dict[str, Vector]  # by colour: sliding, torsional, rolling
    grasp_site: Vector
    links: tuple[HandLink, ...]
    couplings: dict[str, tuple[str, ...]]


def add_robot(spec: mujoco.MjSpec, embodiment: Embodiment, camera: CameraMount | None = None) -> None:
    """Adds the embodiment's upper body, both hands, 29 servos in vector order and the head camera to `spec`.

    Actuator i drives joint i of the embodiment's vector. A finger's servo pulls a fixed tendon over its two hinges, so
    that its length is the sum of both [rad]. Sites `left_grasp` and `right_grasp` mark where a grasped object's centre is.
    `camera` replaces the head camera's mount.
    """
    shapes = load_config(BodyShapes, "embodiments", f"{embodiment.name}_body")
    hand = load_config(Hand, "embodiments", f"{embodiment.name}_hand")
    bodies = _add_links(spec, embodiment, shapes)
    _add_shapes(bodies, shapes)
    _add_hand(bodies, hand, shapes, left=False)
    _add_hand(bodies, hand, shapes, left=True)
    _add_servos(spec, embodiment, shapes, hand)
    mount = camera or shapes.camera
    orientation = np.empty(4)
    mujoco.mju_mat2Quat(orientation, mount.rotation().flatten())
    bodies[mount.body].add_camera(name=mount.name, pos=mount.position, quat=orientation, fovy=np.degrees(mount.field_of_view_rad))


def coupled_hinges(embodiment: Embodiment) -> list[tuple[str, ...]]:
    """For each joint of the vector the hinges whose angles sum to it."""
    hand = load_config(Hand, "embodiments", f"{embodiment.name}_hand")
    couplings = {**hand.couplings, **{left_name(k): tuple(map(left_name, v)) for k, v in hand.couplings.items()}}
    return [couplings.get(name, (name,)) for name in embodiment.joint_names]


def left_name(name: str) -> str:
    """The left hand's name of something of the right one."""
    return name.replace("R_", "L_", 1) if name.startswith("R_") else name.replace("r_", "l_", 1)


def _add_links(spec: mujoco.MjSpec, embodiment: Embodiment, shapes: BodyShapes) -> dict[str, mujoco.MjsBody]:
    commanded = {joint.name: joint for joint in embodiment.joints}
    bodies: dict[str, mujoco.MjsBody] = {}
    for link in embodiment.links:
        parent = spec.worldbody if link.parent is None else bodies[link.parent]
        body = parent.add_body(name=link.body, pos=link.position, quat=link.quaternion, gravcomp=1.0)
        bodies[link.body] = body
        if link.mass > 0:
            # Shapes are only for rendering and contact; the table's masses stand, as a small sphere's inertia would.
            body.mass = link.mass
            body.inertia = [0.4 * link.mass * 0.05**2] * 3
            body.ipos = [0.0, 0.0, 0.0]
            body.explicitinertial = True
        if link.joint in commanded:
            joint = commanded[link.joint]
            body.add_joint(
                name=joint.name,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=link.axis,
                limited=True,
                range=[joint.lower, joint.upper],
                armature=shapes.servos[joint.group].armature,
                damping=[0.5, 0, 0],
            )
    return bodies


def _add_shapes(bodies: dict[str, mujoco.MjsBody], shapes: BodyShapes) -> None:
    for shape in shapes.shapes:
        pairs: list[tuple[str, np.ndarray]] = [(shape.body, np.ones(3))]
        if shape.body in shapes.mirrored:
            pairs.append((shapes.mirrored[shape.body], MIRROR))
        for body, flip in pairs:
            paint = {"rgba": [*shapes.colours[shape.colour], 1], "type": GEOM_TYPES[shape.type], **ROBOT_CONTACT}
            if shape.type == "capsule":
                fromto = [*(flip * shape.start), *(flip * shape.end)]
                bodies[body].add_geom(fromto=fromto, size=[shape.radius, 0, 0], mass=0, **paint)
            else:
                bodies[body].add_geom(pos=flip * shape.position, size=shape.size, mass=0, **paint)


def _add_hand(bodies: dict[str, mujoco.MjsBody], hand: Hand, shapes: BodyShapes, left: bool) -> None:
    flip = MIRROR if left else np.ones(3)
    named = left_name if left else str
    grip = {"condim": 4, **ROBOT_CONTACT}
    palm = bodies[named(hand.mount)].add_body(name=named(hand.palm.body), gravcomp=1.0)
    palm.add_geom(
        name=named(hand.palm.body),
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=flip * hand.palm.position,
        size=hand.palm.size,
        mass=hand.palm.mass,
        rgba=[*shapes.colours["palm"], 1],
        friction=hand.friction["palm"],
        **grip,
    )
    palm.add_site(name="left_grasp" if left else "right_grasp", pos=flip * hand.grasp_site, size=[0.005] * 3, group=4)
    bodies[named(hand.palm.body)] = palm
    armature = shapes.servos["left_hand" if left else "right_hand"].armature
    for link in hand.links:
        w, x, y, z = link.quaternion
        quaternion = (w, -x, y, -z) if left else link.quaternion
        # A hinge axis is a pseudovector: mirrored it flips once more, so that the same angle closes both hands.
        axis = -flip * link.axis if left else link.axis
        body = bodies[named(link.parent)].add_body(name=named(link.body), pos=flip * link.position, quat=quaternion, gravcomp=1.0)
        bodies[named(link.body)] = body
        body.add_joint(name=named(link.joint), axis=axis, limited=True, range=link.range, armature=armature, damping=[0.05, 0, 0])
        if link.tip is None:
            body.mass, body.inertia, body.ipos, body.explicitinertial = link.mass, [1e-5] * 3, [0.0] * 3, True
            continue
        body.add_geom(
            name=named(link.body),
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0, 0, 0, *(flip * link.tip)],
            size=[link.radius, 0, 0],
            mass=link.mass,
            rgba=[*shapes.colours[link.colour], 1],
            friction=hand.friction[link.colour],
            **grip,
        )


def _add_servos(spec: mujoco.MjSpec, embodiment: Embodiment, shapes: BodyShapes, hand: Hand) -> None:
    for joint, hinges in zip(embodiment.joints, coupled_hinges(embodiment), strict=True):
        servo = shapes.servos[joint.group]
        target, transmission = joint.name, mujoco.mjtTrn.mjTRN_JOINT
        if len(hinges) > 1:
            tendon = spec.add_tendon(name=joint.name)
            for hinge in hinges:
                tendon.wrap_joint(hinge, 1.0)
            transmission = mujoco.mjtTrn.mjTRN_TENDON
        actuator = spec.add_actuator(name=joint.name, target=target, trntype=transmission)
        actuator.set_to_position(kp=servo.stiffness, dampratio=1.0)
        actuator.forcelimited = True
        actuator.forcerange = [-servo.force_limit, servo.force_limit]
        actuator.ctrllimited = True
        actuator.ctrlrange = [joint.lower, joint.upper]
