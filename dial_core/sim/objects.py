"""Things on the table: a slot is the body of a type in the compiled model, an instance is what a slot shows in a scene.

A scene resizes, recolours and moves the slots it uses and hides the others, so that a reset needs neither a
compilation nor a new renderer as long as the model holds the scene's types.
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from dial_core.sim.camera import Vector
from dial_core.sim.catalogue import ObjectType
from dial_core.sim.parts import ShapePart
from dial_core.sim.robot import GEOM_TYPES, NO_CONTACT, OBJECT_CONTACT, STATIC_CONTACT

PARKING = np.array([-1.0, 0.0, 0.0])  # behind the robot, never in view [m]


@dataclass(frozen=True)
class ObjectSpec:
    """One instance: type, size [m], colours by part name (RGB 0..1) and its pose on the table [m, rad].

    `base`: height above the table of what it stands on [m]; `opening`: its joint's position, 0 closed [m or rad].
    """

    type: str
    radius: float
    half_height: float
    colours: dict[str, Vector]
    x: float
    y: float
    yaw: float
    base: float = 0.0
    opening: float = 0.0

    @property
    def xy(self) -> np.ndarray:
        """Centre in the table plane (2,) [m]."""
        return np.array([self.x, self.y])


def sample_object(kind: ObjectType, rng: np.random.Generator, x: float, y: float) -> ObjectSpec:
    """An instance of `kind` at (x, y) [m] with size, colours and yaw drawn from `rng`."""
    return ObjectSpec(
        type=kind.name,
        radius=float(rng.uniform(*kind.radius_m)),
        half_height=float(rng.uniform(*kind.half_height_m)),
        colours={part: choices[rng.integers(len(choices))] for part, choices in kind.colours.items()},
        x=float(x),
        y=float(y),
        yaw=float(rng.uniform(*kind.yaw_rad)),
    )


def add_object(spec: mujoco.MjSpec, kind: ObjectType) -> None:
    """Adds the slot of `kind` to `spec`, at its largest size: the compiled bounding boxes then hold for every size."""
    body = spec.worldbody.add_body(name=kind.name, pos=PARKING)
    if not kind.fixed:
        body.add_freejoint(name=kind.name)
        body.mass, body.inertia, body.ipos, body.explicitinertial = kind.mass_kg, [1e-4] * 3, [0.0] * 3, True
    moving = _add_moving_body(body, kind)
    solid = STATIC_CONTACT if kind.fixed else OBJECT_CONTACT
    for part in kind.parts:
        position, size = part.scaled(_unit(kind, kind.radius_m[1], kind.half_height_m[1]))
        contact = {"condim": 4, "friction": [0.5, 0.01, 0.001], **solid} if part.solid else NO_CONTACT
        parent = moving if part.moves else body
        parent.add_geom(type=GEOM_TYPES[part.shape], pos=position, quat=part.quaternion(), size=size, mass=0, **contact)


def _add_moving_body(body: mujoco.MjsBody, kind: ObjectType) -> mujoco.MjsBody:
    joint = kind.joint
    if joint is None:
        return body
    moving = body.add_body(name=f"{kind.name}_moving")
    moving.mass, moving.inertia, moving.ipos, moving.explicitinertial = joint.mass_kg, [joint.mass_kg * 0.01] * 3, [0.0] * 3, True
    moving.gravcomp = 1.0
    moving.add_joint(
        name=f"{kind.name}_joint",
        type=mujoco.mjtJoint.mjJNT_HINGE if joint.type == "hinge" else mujoco.mjtJoint.mjJNT_SLIDE,
        pos=joint.position,
        axis=joint.axis,
        limited=True,
        range=[0.0, joint.open[1] + 0.02],
        frictionloss=joint.friction,
        damping=[joint.damping, 0, 0],
    )
    return moving


class ObjectSlot:
    """The body of one object type in a compiled model; `show` makes it an instance, `hide` puts it away."""

    def __init__(self, model: mujoco.MjModel, kind: ObjectType) -> None:
        self.kind = kind
        self.body = model.body(kind.name).id
        # Geoms of a compiled model lie body by body: first those that stay, then those that move with the joint.
        ordered = [part for part in kind.parts if not part.moves] + [part for part in kind.parts if part.moves]
        start = model.body_geomadr[self.body] if not kind.parts[0].moves else model.body_geomadr[self.body + 1]
        self._parts: list[tuple[int, ShapePart]] = list(zip(range(start, start + len(ordered)), ordered, strict=True))
        self._contact = [(int(model.geom_contype[g]), int(model.geom_conaffinity[g])) for g, _ in self._parts]
        self.qpos = slice(0, 0)
        self.qvel = slice(0, 0)
        self.joint: int | None = None  # address of the fixture's joint in qpos
        self.moving = self.body
        if not kind.fixed:
            joint = model.joint(kind.name)
            self.qpos = slice(joint.qposadr[0], joint.qposadr[0] + 7)
            self.qvel = slice(joint.dofadr[0], joint.dofadr[0] + 6)
        if kind.joint:
            self.joint = int(model.joint(f"{kind.name}_joint").qposadr[0])
            self.moving = model.body(f"{kind.name}_moving").id

    def show(self, model: mujoco.MjModel, spec: ObjectSpec) -> None:
        """Gives the slot the instance's sizes, colours, mass and inertia. The pose follows with `place`."""
        unit = _unit(self.kind, spec.radius, spec.half_height)
        for (geom, part), contact in zip(self._parts, self._contact, strict=True):
            position, size = part.scaled(unit)
            model.geom_pos[geom] = position
            model.geom_size[geom, : len(size)] = size
            model.geom_aabb[geom, 3:] = part.half_box(size)
            model.geom_rbound[geom] = part.bound(size)
            model.geom_rgba[geom] = [*spec.colours[part.colour], float(part.visible)]
            model.geom_contype[geom], model.geom_conaffinity[geom] = contact
        if not self.kind.fixed:
            radius, height = spec.radius, 2 * spec.half_height
            across = self.kind.mass_kg * (3 * radius**2 + height**2) / 12  # solid cylinder
            model.body_inertia[self.body] = [across, across, self.kind.mass_kg * radius**2 / 2]
            model.body_gravcomp[self.body] = 0.0

    def stand(self, model: mujoco.MjModel, data: mujoco.MjData, spec: ObjectSpec, table_top_m: float) -> None:
        """Stands the instance where its spec says, at rest, its joint opened as far."""
        height = spec.base if self.kind.in_metres else spec.base + spec.half_height
        self.place(model, data, np.array([spec.x, spec.y, table_top_m + height]), yaw_quaternion(spec.yaw))
        if self.joint is not None:
            data.qpos[self.joint] = spec.opening

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, position: np.ndarray, quaternion: np.ndarray) -> None:
        """Puts the slot at `position` (3,) [m], `quaternion` (4,) wxyz, at rest."""
        if self.kind.fixed:
            model.body_pos[self.body] = position
            model.body_quat[self.body] = quaternion
            return
        data.qpos[self.qpos] = [*position, *quaternion]
        data.qvel[self.qvel] = 0.0

    def hide(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Makes the slot invisible, untouchable and weightless, parked behind the robot."""
        for geom, _ in self._parts:
            model.geom_rgba[geom, 3] = 0.0
            model.geom_contype[geom] = model.geom_conaffinity[geom] = 0
        model.body_gravcomp[self.body] = 1.0
        self.place(model, data, PARKING, np.array([1.0, 0, 0, 0]))


def yaw_quaternion(yaw_rad: float) -> np.ndarray:
    """The rotation about the vertical as a quaternion (4,) wxyz."""
    return np.array([np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)])


def _unit(kind: ObjectType, radius: float, half_height: float) -> np.ndarray:
    return np.ones(3) if kind.in_metres else np.array([radius, radius, half_height])
