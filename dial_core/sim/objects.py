"""Things on the table: a type is a YAML file of primitive parts; a slot is its body in the compiled model.

A model is compiled once with one slot for each type. A scene then resizes, recolours and moves the slots it uses and
hides the others, so that a reset needs neither a compilation nor a new renderer.
"""

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from dial_core.config import Config, load_config
from dial_core.sim.robot import GEOM_TYPES, NO_CONTACT, OBJECT_CONTACT, STATIC_CONTACT, Vector
from dial_core.sim.task import Range

PARKING = np.array([-1.0, 0.0, 0.0])  # behind the robot, never in view [m]


class Part(Config):
    """One primitive; position and size are in units of (radius, radius, half height) of the object."""

    shape: Literal["cylinder", "box"]
    position: Vector
    size: Vector
    colour: str
    solid: bool = True


class ObjectType(Config):
    """What all instances of a type share (`config/objects/<name>.yaml`); ranges are drawn from uniformly."""

    name: str
    fixed: bool = False  # part of the furniture: does not move, its pose is set at a reset
    radius_m: Range
    half_height_m: Range
    mass_kg: float = 0.0
    yaw_rad: Range = (-np.pi, np.pi)
    colours: dict[str, tuple[Vector, ...]]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ObjectSpec:
    """One instance: type, size [m], colours by part name (RGB 0..1) and its pose on the table [m, rad]."""

    type: str
    radius: float
    half_height: float
    colours: dict[str, Vector]
    x: float
    y: float
    yaw: float

    @property
    def xy(self) -> np.ndarray:
        """Centre in the table plane (2,) [m]."""
        return np.array([self.x, self.y])


def load_object(name: str) -> ObjectType:
    """The object type `name` from `config/objects/`."""
    return load_config(ObjectType, "objects", name)


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
    solid = STATIC_CONTACT if kind.fixed else OBJECT_CONTACT
    for part in kind.parts:
        position, size = _scaled(part, kind.radius_m[1], kind.half_height_m[1])
        contact = {"condim": 4, "friction": [0.5, 0.01, 0.001], **solid} if part.solid else NO_CONTACT
        body.add_geom(type=GEOM_TYPES[part.shape], pos=position, size=size, mass=0, **contact)


class ObjectSlot:
    """The body of one object type in a compiled model; `show` makes it an instance, `hide` puts it away."""

    def __init__(self, model: mujoco.MjModel, kind: ObjectType) -> None:
        self.kind = kind
        self.body = model.body(kind.name).id
        self._geoms = range(model.body_geomadr[self.body], model.body_geomadr[self.body] + len(kind.parts))
        self._contact = [(int(model.geom_contype[g]), int(model.geom_conaffinity[g])) for g in self._geoms]
        self.qpos = slice(0, 0)
        self.qvel = slice(0, 0)
        if not kind.fixed:
            joint = model.joint(kind.name)
            self.qpos = slice(joint.qposadr[0], joint.qposadr[0] + 7)
            self.qvel = slice(joint.dofadr[0], joint.dofadr[0] + 6)

    def show(self, model: mujoco.MjModel, spec: ObjectSpec) -> None:
        """Gives the slot the instance's sizes, colours, mass and inertia. The pose follows with `place`."""
        for geom, part, contact in zip(self._geoms, self.kind.parts, self._contact, strict=True):
            position, size = _scaled(part, spec.radius, spec.half_height)
            model.geom_pos[geom] = position
            model.geom_size[geom, : len(size)] = size
            half = np.array([size[0], size[0], size[1]]) if part.shape == "cylinder" else np.array(size)
            model.geom_aabb[geom, 3:] = half
            model.geom_rbound[geom] = np.hypot(size[0], size[1]) if part.shape == "cylinder" else np.linalg.norm(half)
            model.geom_rgba[geom] = [*spec.colours[part.colour], 1.0]
            model.geom_contype[geom], model.geom_conaffinity[geom] = contact
        if not self.kind.fixed:
            radius, height = spec.radius, 2 * spec.half_height
            across = self.kind.mass_kg * (3 * radius**2 + height**2) / 12  # solid cylinder
            model.body_inertia[self.body] = [across, across, self.kind.mass_kg * radius**2 / 2]
            model.body_gravcomp[self.body] = 0.0

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
        for geom in self._geoms:
            model.geom_rgba[geom, 3] = 0.0
            model.geom_contype[geom] = model.geom_conaffinity[geom] = 0
        model.body_gravcomp[self.body] = 1.0
        self.place(model, data, PARKING, np.array([1.0, 0, 0, 0]))


def yaw_quaternion(yaw_rad: float) -> np.ndarray:
    """The rotation about the vertical as a quaternion (4,) wxyz."""
    return np.array([np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)])


def _scaled(part: Part, radius: float, half_height: float) -> tuple[np.ndarray, list[float]]:
    unit = np.array([radius, radius, half_height])
    size = unit * part.size
    return unit * part.position, [size[0], size[2]] if part.shape == "cylinder" else list(size)
