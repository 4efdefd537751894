"""Appearances: procedural table textures, floor, lights and, for unseen ones, colours that replace the things' own."""

from collections.abc import Sequence
from functools import cache

import mujoco
import numpy as np

from dial_core.config import Config, config_root, read_values, validate
from dial_core.errors import DialError
from dial_core.sim.camera import Vector
from dial_core.sim.patterns import PATTERNS, paint

TEXTURE_PX = 256


class Appearance(Config):
    """One appearance. `repaint` gives the things' parts these colours, in the order of their colour names."""

    name: str
    pattern: str  # of the table, one of dial_core/sim/patterns.py
    colours: tuple[Vector, Vector]  # of the pattern
    floor: Vector
    light: Vector = (0.35, 0.35, 0.35)
    light_from: Vector = (-0.1, 0.5, 1.0)
    ambient: Vector = (0.40, 0.40, 0.40)
    repaint: tuple[Vector, ...] = ()


class AppearancePool(Config):
    """A file of appearances (`config/appearances/<name>.yaml`)."""

    name: str
    appearances: tuple[Appearance, ...]


@cache
def _pool(path) -> AppearancePool:
    pool = validate(AppearancePool, read_values(path), source=path)
    for appearance in pool.appearances:
        if appearance.pattern not in PATTERNS:
            raise DialError(f"{path}: appearance '{appearance.name}' has pattern '{appearance.pattern}'; available: {', '.join(PATTERNS)}")
    return pool


def appearance_pools() -> dict[str, tuple[Appearance, ...]]:
    """Returns all appearances by pool."""
    return {path.stem: _pool(path).appearances for path in sorted((config_root() / "appearances").glob("*.yaml"))}


def find_appearances(wanted: tuple[str | Appearance, ...]) -> tuple[Appearance, ...]:
    """The appearances that `wanted` names or holds; a pool's name stands for all of its appearances.

    Raises:
        DialError: there is none of that name.
    """
    pools = appearance_pools()
    single = {appearance.name: (appearance,) for appearances in pools.values() for appearance in appearances}
    found: list[Appearance] = []
    for name in wanted:
        if isinstance(name, Appearance):
            found.append(name)
            continue
        if name not in pools and name not in single:
            raise DialError(f"no appearance or pool of appearances '{name}'; pools: {', '.join(pools)}; appearances: {', '.join(single)}")
        found += pools.get(name) or single[name]
    return tuple(found)


def random_appearance(patterns: Sequence[str], rng: np.random.Generator) -> Appearance:
    """A table in one of the `patterns` with any two colours, on a floor and under lights of any tint."""

    def vector(low: float, high: float) -> Vector:
        red, green, blue = (float(value) for value in rng.uniform(low, high, 3))
        return red, green, blue

    return Appearance(
        name="random",
        pattern=str(rng.choice(patterns)),
        colours=(vector(0.0, 1.0), vector(0.0, 1.0)),
        floor=vector(0.2, 0.65),
        light=vector(0.2, 0.5),
        light_from=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.8, 0.9)), 0.9),
        ambient=vector(0.32, 0.48),
    )


def add_appearance(spec: mujoco.MjSpec, appearance: Appearance) -> str:
    """Adds texture, floor and lights of `appearance` to `spec`; returns the name of the table's material."""
    pixels = paint(appearance.pattern, appearance.colours, TEXTURE_PX)
    texture = spec.add_texture(name="table", type=mujoco.mjtTexture.mjTEXTURE_2D, width=TEXTURE_PX, height=TEXTURE_PX, nchannel=3)
    texture.data = pixels.tobytes()
    material = spec.add_material(name="table", specular=0.1, shininess=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table"
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0.6, 0, -0.76],
        size=[2.5, 2.5, 0.01],
        rgba=[*appearance.floor, 1],
        contype=0,
        conaffinity=0,
    )
    spec.visual.headlight.ambient = list(appearance.ambient)
    sun = spec.worldbody.lights[0]
    sun.diffuse, sun.dir = list(appearance.light), [-value for value in appearance.light_from]
    return "table"
