"""Parts of an object: primitives in the object's units, and rings of boxes for round walls."""

from typing import Literal

import mujoco
import numpy as np
from pydantic import Field

from dial_core.config import Config
from dial_core.sim.camera import Vector

ROUND = ("cylinder", "capsule")  # two sizes: radius and half length


class ShapePart(Config):
    """One primitive; position and size are in units of (radius, radius, half height) of the thing, or metres if it says so."""

    shape: Literal["cylinder", "box", "ellipsoid", "capsule"]
    position: Vector
    size: Vector
    turn_rad: Vector = (0.0, 0.0, 0.0)  # roll, pitch, yaw
    colour: str
    solid: bool = True
    visible: bool = True  # a solid part may give the contact of a shape that is only looked at
    moves: bool = False  # with the thing's joint

    def quaternion(self) -> np.ndarray:
        """Its orientation in the thing's frame (4,) wxyz: yaw, then pitch, then roll about the turned axes."""
        quaternion = np.empty(4)
        mujoco.mju_euler2Quat(quaternion, np.array(self.turn_rad[::-1]), "zyx")
        return quaternion

    def mirrored(self) -> "ShapePart":
        """Returns the part mirrored in the plane y = 0."""
        (x, y, z), (roll, pitch, yaw) = self.position, self.turn_rad
        return self.model_copy(update={"position": (x, -y, z), "turn_rad": (-roll, pitch, -yaw)})

    def scaled(self, unit: np.ndarray) -> tuple[np.ndarray, list[float]]:
        """Position (3,) [m] and MuJoCo's sizes [m] where one unit is `unit` (3,) [m]."""
        size = unit * self.size
        return unit * self.position, [size[0], size[2]] if self.shape in ROUND else list(size)

    def half_box(self, size: list[float]) -> np.ndarray:
        """Returns half the size of the bounding box (3,) [m] for MuJoCo's sizes."""
        if self.shape == "cylinder":
            return np.array([size[0], size[0], size[1]])
        return np.array([size[0], size[0], size[0] + size[1]]) if self.shape == "capsule" else np.array(size)

    def bound(self, size: list[float]) -> float:
        """Returns the radius of the bounding sphere [m]."""
        if self.shape == "cylinder":
            return float(np.hypot(size[0], size[1]))
        if self.shape == "box":
            return float(np.linalg.norm(size))
        return float(size[0] + size[1] if self.shape == "capsule" else max(size))


class Ring(Config):
    """A round wall of boxes. In the thing's units: `height` its span upwards, `radius` of the middle of the wall."""

    ring: float  # radius at half height
    thickness: float
    height: tuple[float, float]
    count: int = Field(18, ge=6)
    flare_rad: float = 0.0  # leaning outwards
    colour: str
    colours: tuple[str, ...] = ()  # alternating around, instead of one colour
    solid: bool = True
    position: tuple[float, float] = (0.0, 0.0)  # of the middle, in the plane

    def boxes(self) -> list[ShapePart]:
        """Returns the boxes, counter-clockwise from +x."""
        low, high = self.height
        length = self.ring * np.tan(np.pi / self.count) * 1.08
        names = self.colours or (self.colour,)
        parts = []
        for index in range(self.count):
            angle = 2 * np.pi * index / self.count
            x, y = self.ring * np.cos(angle) + self.position[0], self.ring * np.sin(angle) + self.position[1]
            parts.append(
                ShapePart(
                    shape="box",
                    position=(x, y, (low + high) / 2),
                    size=(self.thickness / 2, length, (high - low) / 2),
                    turn_rad=(0.0, self.flare_rad, angle),
                    colour=names[index % len(names)],
                    solid=self.solid,
                )
            )
        return parts
