"""Object types: one file for each in `config/objects/`, or a family in one file of `config/families/`."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import field_validator

from dial_core.config import Config, config_root, load_config, read_values, validate
from dial_core.errors import DialError
from dial_core.sim.camera import Vector
from dial_core.sim.parts import Ring, ShapePart
from dial_core.sim.task import Range


class FixtureJoint(Config):
    """Joint of a fixture's moving part: a hinge [rad] or a slide [m] from closed (0) to `open`, and where to push it closed."""

    type: Literal["hinge", "slide"]
    position: Vector  # a point on the hinge's axis [m]
    axis: Vector
    open: Range  # where scenes begin
    closed_below: float  # counts as closed
    friction: float  # [N m] or [N]
    damping: float
    mass_kg: float
    push_at: Vector  # point of the moving part that a fist pushes, when closed [m]
    push_along: Vector  # which way, when closed
    hand: Literal["same", "other"]  # which one pushes: the one that placed, or the other


class Inside(Config):
    """Interior of a fixture in which a placed object's centre must be [m], and where the expert places it."""

    low: Vector
    high: Vector
    spot: Vector  # of the object's bottom; `moves` with the joint
    moves: bool = False
    enter_m: float = 0.0  # how far in front of the spot the hand comes down to its height; 0: from above
    wall_m: float = 0.0  # height of the wall to reach over, above the spot


class ObjectType(Config):
    """What all instances of a type share; ranges are drawn from uniformly."""

    name: str
    noun: str = ""  # how people call it; from the name if left out
    place: Literal["in", "on"] = "on"  # what is put there is ... it
    fixed: bool = False  # part of the furniture: does not move, its pose is set at a reset
    radius_m: Range
    half_height_m: Range
    mass_kg: float = 0.0
    yaw_rad: Range = (-np.pi, np.pi)
    floor: float = 1.0  # where things stand on it: share of its height
    room: float = 1.0  # share of the radius in which things on it may have their centre
    in_metres: bool = False  # parts are in metres from the middle of the bottom, instead of its own units
    colours: dict[str, tuple[Vector, ...]]
    parts: tuple[ShapePart, ...]
    joint: FixtureJoint | None = None
    inside: Inside | None = None

    @field_validator("parts", mode="before")
    @classmethod
    def _rings_become_boxes(cls, value: Any) -> Any:
        parts: list[Any] = []
        for part in value:
            parts += Ring.model_validate(part).boxes() if isinstance(part, dict) and "ring" in part else [part]
        return parts

    @property
    def called(self) -> str:
        """Noun of the type in an instruction."""
        return self.noun or self.name.replace("_", " ")

    def mirrored(self) -> "ObjectType":
        """The same thing mirrored in its plane y = 0: a door that was hinged on the left is hinged on the right."""
        changes: dict[str, Any] = {"parts": tuple(part.mirrored() for part in self.parts)}
        if self.joint:
            turn = -1.0 if self.joint.type == "hinge" else 1.0  # a hinge's axis is a pseudovector
            axis = tuple(turn * value for value in _flip(self.joint.axis))
            moved = {name: _flip(getattr(self.joint, name)) for name in ("position", "push_at", "push_along")}
            changes["joint"] = self.joint.model_copy(update={"axis": axis, **moved})
        if self.inside:
            (x0, y0, z0), (x1, y1, z1) = self.inside.low, self.inside.high
            room = {"low": (x0, -y1, z0), "high": (x1, -y0, z1), "spot": _flip(self.inside.spot)}
            changes["inside"] = self.inside.model_copy(update=room)
        return self.model_copy(update=changes)


def _flip(vector: Vector) -> Vector:
    return (vector[0], -vector[1], vector[2])


class Family(Config):
    """A file of types that belong together. `shapes` holds anchors for YAML's aliases and is not read."""

    name: str
    shapes: dict[str, Any] = {}
    types: dict[str, dict[str, Any]]


def load_object(name: str) -> ObjectType:
    """The type `name` from `config/objects/`, or from a family.

    Raises:
        DialError: there is none of that name, or its file is wrong.
    """
    return _load(config_root(), name)


@cache
def _load(root: Path, name: str) -> ObjectType:
    families = _families(root)
    if name in families:
        path, values = families[name]
        return validate(ObjectType, {"name": name, **values}, source=f"{path}: {name}")
    if not (root / f"objects/{name}.yaml").is_file():
        raise DialError(f"no object type '{name}'; available: {', '.join(object_names())}")
    return load_config(ObjectType, "objects", name)


def object_names() -> list[str]:
    """Returns the names of all types, sorted."""
    return sorted({path.stem for path in (config_root() / "objects").glob("*.yaml")} | set(_families(config_root())))


@cache
def _families(root: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in sorted((root / "families").glob("*.yaml")):
        for name, values in validate(Family, read_values(path), source=path).types.items():
            if name in found or (root / f"objects/{name}.yaml").exists():
                raise DialError(f"{path}: object type '{name}' exists already; choose another name")
            found[name] = (path, values)
    return found
