"""Layouts of the state and action vector: the order, frame and units in which a model reads and writes them.

Everything outside a model uses one layout, `ours` (`embodiment`). A model trained elsewhere may use another: `config/layouts/`
describes it, a checkpoint's contract carries it, and `LayoutConverter` is the only place where vectors are converted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from dial_core.config import Config, load_config
from dial_core.errors import DialError
from dial_core.robot.embodiment import EEF_DIM, Embodiment, load_embodiment
from dial_core.robot.rotations import from_quaternion, rotation_from_6d, rotation_to_6d

Side = Literal["left", "right"]
WRIST_DIM = EEF_DIM // 2  # position (3) and 6D rotation (6)
_PLACE: dict[Side, int] = {"left": 0, "right": WRIST_DIM}  # of a wrist in our own layout


class BasePose(Config):
    """Where the robot's base stands in the frame of the wrists: `position` [m], `quaternion` wxyz."""

    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)

    @property
    def matrix(self) -> np.ndarray:
        """The pose as a homogeneous transform (4, 4)."""
        pose = np.eye(4)
        pose[:3, :3] = from_quaternion(np.array(self.quaternion))
        pose[:3, 3] = self.position
        return pose


class VectorLayout(Config):
    """Order, frame and units of a model's state and action vectors.

    Attributes:
        name: of the layout.
        wrists: which wrist comes first.
        groups: the embodiment's joint groups in order; empty: every joint in the embodiment's order.
        frame: in which the wrist poses are expressed: the robot's `base`, or the `world` of the scene.
        base: pose of the base in the world, for a robot that stands still; a simulation reports its own per scene.
        hinges: joint name to the upper limits [rad] of the two hinges that one number drives together; our joint is their sum.
        slot: of the model's embodiment slots.
        tag: the release's name of the embodiment, under which its statistics are stored.
        crop: the part of the camera image that the model sees, as shares, stretched to its size; see `observation.camera_view`.
        statistics: the release's names of the vector's blocks, in order.
        instruction_prefix: what the release's environment puts before its instructions.
    """

    name: str = "ours"
    wrists: tuple[Side, Side] = ("left", "right")
    groups: tuple[str, ...] = ()
    frame: Literal["base", "world"] = "base"
    base: BasePose | None = None
    hinges: dict[str, tuple[float, float]] = {}
    slot: int = 0
    tag: str = ""
    crop: tuple[float, float, float, float] | None = None
    statistics: tuple[str, ...] = ()
    instruction_prefix: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.wrists[0] == self.wrists[1]:
            raise ValueError(f"wrists {self.wrists} name one side twice; expected [left, right] or [right, left]")
        if wrong := [joint for joint, limits in self.hinges.items() if min(limits) <= 0]:
            raise ValueError(f"hinges of {', '.join(wrong)}: upper limits must be above 0 rad")
        return self

    def same_vectors(self, other: VectorLayout) -> bool:
        """Whether a number means the same in both: order, frame and units. Where the base stands belongs to the scene."""
        fields = ("wrists", "groups", "frame", "hinges")
        return all(getattr(self, name) == getattr(other, name) for name in fields)


OURS = VectorLayout()


def load_layout(name: str) -> VectorLayout:
    """The layout `name` from `config/layouts/`, or from a path to a YAML file."""
    return load_config(VectorLayout, "layouts", name)


def wrist_converter(layout: VectorLayout) -> LayoutConverter:
    """The converter of vectors that hold the two wrist poses alone (18 numbers), as those of people."""
    return LayoutConverter(layout.model_copy(update={"groups": (), "hinges": {}}), load_embodiment("human"))


class LayoutConverter:
    """Converts vectors between our layout and another one, for one embodiment."""

    def __init__(self, layout: VectorLayout, embodiment: Embodiment) -> None:
        """Raises DialError if the layout's groups or joints are not the embodiment's."""
        self.layout, self._embodiment = layout, embodiment
        groups = layout.groups or tuple(dict.fromkeys(joint.group for joint in embodiment.joints))
        members = [np.arange(*embodiment.group_slice(group).indices(embodiment.state_dim)) for group in groups]
        joints = np.concatenate([np.empty(0, np.intp), *members])
        if sorted(joints) != list(range(EEF_DIM, embodiment.state_dim)):
            raise DialError(
                f"layout '{layout.name}' lists groups {', '.join(groups)}, which do not hold every joint of embodiment "
                f"'{embodiment.name}' once; its groups: {', '.join(dict.fromkeys(joint.group for joint in embodiment.joints))}"
            )
        self.parts = tuple(len(places) for places in members)
        wrists = [np.arange(WRIST_DIM) + _PLACE[side] for side in layout.wrists]
        self._order = np.concatenate([*wrists, joints])
        self._back = np.argsort(self._order)
        self._hinges = np.array(list(layout.hinges.values())).reshape(-1, 2)
        self._coupled = EEF_DIM + embodiment.indices(list(layout.hinges)) if layout.hinges else np.empty(0, np.intp)

    @cached_property
    def identity(self) -> bool:
        """Whether both layouts are the same."""
        plain = self.layout.frame == "base" and not self.layout.hinges
        return plain and bool((self._order == np.arange(len(self._order))).all())

    def from_ours(self, vectors: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """Our vectors (..., D) in this layout.

        Args:
            vectors: wrists in the base frame [m], joints [rad].
            base: pose of the base in the world, (4, 4) or one for each vector (..., 4, 4); without it the layout's own.

        Raises:
            DialError: the layout's wrists stand in the world, and nothing says where the base is.
        """
        if self.identity:
            return vectors
        converted = np.array(vectors, np.float64)
        if self.layout.frame == "world":
            self._move_wrists(converted, self._base(base))
        converted[..., self._coupled] = _target_of(converted[..., self._coupled], self._hinges)
        return converted[..., self._order].astype(vectors.dtype)

    def to_ours(self, vectors: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """Vectors (..., D) of this layout as ours; arguments and errors as `from_ours`."""
        if self.identity:
            return vectors
        converted = np.array(vectors, np.float64)[..., self._back]
        if self.layout.frame == "world":
            self._move_wrists(converted, np.linalg.inv(self._base(base)))
        converted[..., self._coupled] = _sum_of(converted[..., self._coupled], self._hinges)
        return converted.astype(vectors.dtype)

    def reordered(self, values: np.ndarray) -> np.ndarray:
        """One value for each of our dimensions (..., D), such as masks and names, in this layout's order."""
        return values[..., self._order]

    def joints_from_ours(self, joints: np.ndarray) -> np.ndarray:
        """Our joints (..., J) [rad] in this layout's units; their order stays."""
        return self._scaled(joints, _target_of)

    def joints_to_ours(self, joints: np.ndarray) -> np.ndarray:
        """Joints (..., J) in this layout's units as ours [rad]; their order stays."""
        return self._scaled(joints, _sum_of)

    def wrist_to_ours(self, poses: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """Poses (..., 9) of one wrist, in this layout's frame, in the robot's base frame; arguments and errors as `from_ours`."""
        if self.layout.frame == "base":
            return poses
        moved = np.array(poses, np.float64)
        _move_wrist(moved, np.linalg.inv(self._base(base)))
        return moved

    def _scaled(self, joints: np.ndarray, conversion: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        converted = np.array(joints, np.float64)
        places = self._coupled - EEF_DIM
        converted[..., places] = conversion(converted[..., places], self._hinges)
        return converted

    def _base(self, base: np.ndarray | None) -> np.ndarray:
        if base is not None:
            return base
        if self.layout.base is None:
            raise DialError(
                f"layout '{self.layout.name}' has its wrists in the world frame, and the pose of the robot's base in it is not known; "
                "a simulation reports it; for a robot give it at import (`dial import-release --base X,Y,Z,YAW`), for training in the "
                "recipe (`base`)"
            )
        return self.layout.base.matrix

    @staticmethod
    def _move_wrists(vectors: np.ndarray, pose: np.ndarray) -> None:
        """Expresses both wrists of our layout in another frame, in place: p <- R p + t, R_wrist <- R R_wrist."""
        for place in _PLACE.values():
            _move_wrist(vectors[..., place : place + WRIST_DIM], pose)


def _move_wrist(wrist: np.ndarray, pose: np.ndarray) -> None:
    """Expresses one wrist (..., 9) in another frame, in place. `pose`: (4, 4), or one for each wrist (..., 4, 4)."""
    rotation = pose[..., :3, :3]
    wrist[..., :3] = (rotation @ wrist[..., :3, None])[..., 0] + pose[..., :3, 3]
    wrist[..., 3:] = rotation_to_6d(rotation @ rotation_from_6d(wrist[..., 3:]))


def _sum_of(target: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Sum of two hinges (..., J) [rad] driven by one target (..., J): min(a, u1) + min(a, u2)."""
    return np.minimum(target, limits[:, 0]) + np.minimum(target, limits[:, 1])


def _target_of(total: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The inverse of `_sum_of`: s / 2 until the first hinge stands at its limit u, then s - u."""
    first, last = limits.min(-1), limits.max(-1)
    return np.minimum(np.where(total <= 2 * first, total / 2, total - first), last)
