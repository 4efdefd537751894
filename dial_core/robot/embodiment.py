"""What a robot is: joints, groups, controllers, limits, cameras, rate; and the layout of the state and action vector.

Layout (both vectors): left wrist position [m] 3, left wrist 6D rotation 6, right wrist position 3, right wrist 6D
rotation 6, then every joint [rad] in the order of the embodiment. GR1: 18 + 29 = 47.
"""

from functools import cached_property
from typing import Self

import numpy as np
from pydantic import model_validator

from dial_core.config import Config, load_config

EEF_DIM = 18  # two wrists, each position (3) and 6D rotation (6)


class Joint(Config):
    """One commanded degree of freedom.

    A finger's command is the sum of its coupled joints, so its range may exceed that of any single hinge.
    """

    name: str
    group: str
    lower: float  # [rad]
    upper: float  # [rad]
    velocity: float  # limit [rad/s]
    acceleration: float  # limit [rad/s^2]
    home: float = 0.0  # [rad]


class Link(Config):
    """One body of the kinematic tree; a root has no parent."""

    body: str
    parent: str | None = None
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the parent's frame [m]
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # in the parent's frame, wxyz
    joint: str | None = None  # hinge between parent and this body
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)  # in this body's frame
    mass: float = 0.0  # [kg]


class Controller(Config):
    """One joint_trajectory_controller and exactly the joints it owns, in its order."""

    name: str
    joints: tuple[str, ...]


class Camera(Config):
    """One colour camera as the policy sees it."""

    name: str
    topic: str
    frame: str
    height: int  # [px]
    width: int  # [px]


class Wrists(Config):
    """Bodies whose poses fill the end-effector part of the vectors."""

    left: str
    right: str


class Embodiment(Config):
    """A robot, complete: everything the model, the world and the nodes need to know about its body."""

    name: str
    rate_hz: float  # control and action rate [Hz]
    base: str  # body in whose frame the wrist poses are expressed
    wrists: Wrists
    joint_states_topic: str = "joint_states"
    joints: tuple[Joint, ...]
    links: tuple[Link, ...]
    controllers: tuple[Controller, ...]
    cameras: tuple[Camera, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [joint.name for joint in self.joints]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"joints listed twice: {', '.join(repeated)}")
        commanded = [name for controller in self.controllers for name in controller.joints]
        if sorted(commanded) != sorted(names):
            wrong = sorted(set(commanded) ^ set(names)) or sorted({n for n in commanded if commanded.count(n) > 1})
            raise ValueError(f"every joint needs exactly one controller; check {', '.join(wrong)}")
        bodies: set[str | None] = {None}
        for link in self.links:
            if link.parent not in bodies:
                raise ValueError(f"link '{link.body}' comes before its parent '{link.parent}'")
            bodies.add(link.body)
        for body in (self.base, self.wrists.left, self.wrists.right):
            if body not in bodies:
                raise ValueError(f"no link '{body}' among the links")
        for joint in self.joints:
            if not joint.lower < joint.upper:
                raise ValueError(f"joint '{joint.name}': lower {joint.lower} is not below upper {joint.upper}")
        return self

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Names in vector order."""
        return tuple(joint.name for joint in self.joints)

    @property
    def state_dim(self) -> int:
        """Width of the state and of the action vector."""
        return EEF_DIM + len(self.joints)

    @property
    def eef_slice(self) -> slice:
        """Where the two wrist poses stand in the vector."""
        return slice(0, EEF_DIM)

    @property
    def joint_slice(self) -> slice:
        """Where the joints [rad] stand in the vector."""
        return slice(EEF_DIM, self.state_dim)

    def group_slice(self, group: str) -> slice:
        """Where a joint group stands in the vector, e.g. `right_arm`.

        Raises:
            KeyError: no such group; the message lists the groups.
        """
        members = [i for i, joint in enumerate(self.joints) if joint.group == group]
        if not members:
            groups = list(dict.fromkeys(joint.group for joint in self.joints))
            raise KeyError(f"no joint group '{group}' in embodiment '{self.name}'; groups: {', '.join(groups)}")
        return slice(EEF_DIM + members[0], EEF_DIM + members[-1] + 1)

    @cached_property
    def lower(self) -> np.ndarray:
        """Lower joint limits (J,) [rad]."""
        return self._joint_array("lower")

    @cached_property
    def upper(self) -> np.ndarray:
        """Upper joint limits (J,) [rad]."""
        return self._joint_array("upper")

    @cached_property
    def velocity(self) -> np.ndarray:
        """Velocity limits (J,) [rad/s]."""
        return self._joint_array("velocity")

    @cached_property
    def acceleration(self) -> np.ndarray:
        """Acceleration limits (J,) [rad/s^2]."""
        return self._joint_array("acceleration")

    @cached_property
    def home_position(self) -> np.ndarray:
        """Joint positions of the rest pose (J,) [rad]."""
        return self._joint_array("home")

    def _joint_array(self, field: str) -> np.ndarray:
        values = np.array([getattr(joint, field) for joint in self.joints], dtype=np.float64)
        values.setflags(write=False)
        return values


def load_embodiment(name: str = "gr1") -> Embodiment:
    """The embodiment `name` from `config/embodiments/`, or from a path to a YAML file."""
    return load_config(Embodiment, "embodiments", name)


def rotation_to_6d(rotation: np.ndarray) -> np.ndarray:
    """First two columns of rotation matrices (..., 3, 3), one after the other: (..., 6)."""
    return np.concatenate([rotation[..., :, 0], rotation[..., :, 1]], axis=-1)


def rotation_from_6d(six: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) from 6D rotations (..., 6) by Gram-Schmidt, so that any two independent columns do."""
    first = six[..., :3] / np.linalg.norm(six[..., :3], axis=-1, keepdims=True)
    second = six[..., 3:] - np.sum(first * six[..., 3:], axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-1)
