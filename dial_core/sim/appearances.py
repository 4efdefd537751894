"""Appearances: procedural table textures, floor, lights and, for unseen ones, colours that replace the things' own."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated

import numpy as np
from pydantic import Discriminator, Tag, field_validator

from dial_core.config import Config, config_root, read_values, validate
from dial_core.errors import DialError
from dial_core.sim.camera import Vector
from dial_core.sim.patterns import PATTERNS


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

    @field_validator("pattern")
    @classmethod
    def _exists(cls, pattern: str) -> str:
        if pattern not in PATTERNS:
            raise ValueError(f"no pattern '{pattern}'; available: {', '.join(PATTERNS)}")
        return pattern


NamedOrGiven = Annotated[
    Annotated[str, Tag("name")] | Annotated[Appearance, Tag("appearance")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "appearance"),
]
"""The name of an appearance or of a pool of them, or an appearance itself."""


class AppearancePool(Config):
    """A file of appearances (`config/appearances/<name>.yaml`)."""

    name: str
    appearances: tuple[Appearance, ...]


@cache
def _pool(path) -> AppearancePool:
    return validate(AppearancePool, read_values(path), source=path)


def appearance_pools() -> dict[str, tuple[Appearance, ...]]:
    """Returns all appearances by pool."""
    return {path.stem: _pool(path).appearances for path in sorted((config_root() / "appearances").glob("*.yaml"))}


def find_appearances(wanted: Sequence[NamedOrGiven]) -> tuple[Appearance, ...]:
    """The appearances that `wanted` names or holds; a pool's name stands for all of its appearances.

    Raises:
        DialError: there is none of that name.
    """
    pools = appearance_pools()
    single = {appearance.name: (appearance,) for appearances in pools.values() for appearance in appearances}
    found: list[Appearance] = []
    for one in wanted:
        if isinstance(one, Appearance):
            found.append(one)
        elif one in pools or one in single:
            found += pools.get(one) or single[one]
        else:
            raise DialError(f"no appearance or pool of appearances '{one}'; pools: {', '.join(pools)}; appearances: {', '.join(single)}")
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
        light_from=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.8, 0.9)), float(rng.uniform(0.7, 1.2))),
        ambient=vector(0.32, 0.48),
    )
