"""A robot's description: joints, groups, controllers, limits, cameras, rate; and the layout of the state and action vector.

Layout (both vectors): left wrist position [m] 3, left wrist 6D rotation 6, right wrist position 3, right wrist 6D
rotation 6, then every joint ([rad], [m] if prismatic) in the order of the embodiment. GR1: 18 + 29 = 47.
"""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from dial_core.config import Config, load_config
from dial_core.errors import DialError

EEF_DIM = 18  # two wrists, each position (3) and 6D rotation (6)


class Joint(Config):
    """One commanded degree of freedom. Units are those of a revolute joint; a prismatic one has [m] instead of [rad].

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
    joint: str | None = None  # between parent and this body
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)  # in this body's frame
    kind: Literal["revolute", "prismatic"] = "revolute"  # of the joint: turns about the axis, or slides along it
    multiplier: float = 1.0  # position = multiplier * joint + offset: not 1 where the body's own joint mimics `joint`
    offset: float = 0.0  # [rad or m]
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
    """Description of a complete robot, as model, simulation and nodes need it."""

    name: str
    rate_hz: float  # control and action rate [Hz]
    base: str  # body in whose frame the wrist poses are expressed
    wrists: Wrists
    joint_states_topic: str = "joint_states"
    further_joint_states_topics: tuple[str, ...] = ()  # of broadcasters that report other joints
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
            numbers = (joint.lower, joint.upper, joint.velocity, joint.acceleration, joint.home)
            if not all(map(math.isfinite, numbers)):
                raise ValueError(f"joint '{joint.name}': limits and home must be finite, got {numbers}")
            if not joint.lower < joint.upper:
                raise ValueError(f"joint '{joint.name}': lower {joint.lower} is not below upper {joint.upper}")
        groups = [joint.group for joint in self.joints]
        for group in dict.fromkeys(groups):
            first = groups.index(group)
            if groups[first : first + groups.count(group)] != [group] * groups.count(group):
                raise ValueError(f"the joints of group '{group}' must follow one another")
        return self

    @property
    def joint_states_topics(self) -> dict[str, str]:
        """The robot's topics of joint states by the names that nodes use: `joint_states`, `joint_states_2` and so on."""
        topics = (self.joint_states_topic, *self.further_joint_states_topics)
        return {"joint_states" if k == 1 else f"joint_states_{k}": topic for k, topic in enumerate(topics, start=1)}

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Names in vector order."""
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the state's and action's dimensions, in vector order."""
        wrist = ("x", "y", "z", *(f"r{row}{column}" for column in (1, 2) for row in (1, 2, 3)))
        return (*(f"{side}_wrist_{part}" for side in ("left", "right") for part in wrist), *self.joint_names)

    def camera(self, name: str) -> Camera:
        """Returns the camera of that name.

        Raises:
            DialError: there is none; the message lists the cameras.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        known = ", ".join(camera.name for camera in self.cameras)
        raise DialError(f"embodiment '{self.name}' has no camera '{name}'; cameras: {known or 'none'}")

    def indices(self, names: Iterable[str]) -> np.ndarray:
        """Returns the indices of the named joints, int64 (len(names),). Add `EEF_DIM` for indices in the vector.

        Raises:
            DialError: a name is not one of the joints; the message lists them.
        """
        names = list(names)
        if unknown := [name for name in names if name not in self._places]:
            raise DialError(f"embodiment '{self.name}' has no joint '{unknown[0]}'; joints: {', '.join(self.joint_names) or 'none'}")
        return np.array([self._places[name] for name in names], np.int64)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.joint_names)}

    @property
    def state_dim(self) -> int:
        """Width of the state and of the action vector."""
        return EEF_DIM + len(self.joints)

    @property
    def joint_slice(self) -> slice:
        """Dimensions of the joints in the vector."""
        return slice(EEF_DIM, self.state_dim)

    def group_slice(self, group: str) -> slice:
        """Dimensions of a joint group in the vector, e.g. `right_arm`.

        Raises:
            DialError: no such group; the message lists the groups.
        """
        members = [i for i, joint in enumerate(self.joints) if joint.group == group]
        if not members:
            groups = list(dict.fromkeys(joint.group for joint in self.joints))
            raise DialError(f"embodiment '{self.name}' has no joint group '{group}'; groups: {', '.join(groups) or 'none'}")
        return slice(EEF_DIM + members[0], EEF_DIM + members[-1] + 1)

    @cached_property
    def fingers(self) -> np.ndarray:
        """True (J,) for joints beyond a wrist, or of no link: what they grasp keeps them from where they are commanded, as it should."""
        links = {link.body: link for link in self.links}
        above = {link.joint for link in self.links if not self._beyond_a_wrist(link, links)}
        return np.array([name not in above for name in self.joint_names], dtype=bool)

    def _beyond_a_wrist(self, link: Link, links: dict[str, Link]) -> bool:
        while link.parent is not None:
            if link.parent in (self.wrists.left, self.wrists.right):
                return True
            link = links[link.parent]
        return False

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
    """Loads the embodiment `name` from `config/embodiments/`, or from a path to a YAML file."""
    return load_config(Embodiment, "embodiments", name)
