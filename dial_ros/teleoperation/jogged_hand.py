"""One hand that follows velocities: wrist targets by inverse kinematics (mink), fingers by their closure. No ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dial_core.robot.embodiment import Embodiment
from dial_core.sim.expert.limb import Limb, Waypoint
from dial_core.sim.world import World

FASTEST_M_PER_S, FASTEST_RAD_PER_S, FASTEST_GRIP_PER_S = 0.15, 0.8, 1.5
LOW, HIGH = np.array([0.15, -0.55, -0.05]), np.array([0.60, 0.45, 0.45])  # of the grasp point of a right hand, in the base frame [m]
HEADING_RAD = (-0.6, 1.2)
LEASH_M = 0.03  # the target stays so close to what the arm reaches
VELOCITY_SHARE = 0.6  # of the joints' limits


@dataclass(frozen=True)
class Jog:
    """Velocities of the hand in the robot's base frame; what is faster than allowed is cut.

    Attributes:
        velocity: of the grasp point (3,) [m/s]: ahead, left, up.
        turn_rad_per_s: of the fingers' heading, positive to the left [rad/s].
        grip_per_s: of the fingers' closure, from 0 (open) to 1 (closed); positive closes [1/s].
    """

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad_per_s: float = 0.0
    grip_per_s: float = 0.0

    @property
    def still(self) -> bool:
        """Whether nothing is asked for."""
        return not any((*self.velocity, self.turn_rad_per_s, self.grip_per_s))


class JoggedHand:
    """Joint targets of the whole robot; only one arm, the waist and that hand's fingers move."""

    def __init__(self, embodiment: Embodiment, hand: str) -> None:
        """`hand`: left or right."""
        self._world, self._hand = World("PlacematToPlate", embodiment), hand
        self._side = 1.0 if hand == "right" else -1.0
        self._limits = VELOCITY_SHARE * embodiment.velocity
        self._limb: Limb | None = None
        self._here: Waypoint | None = None
        self._joints = embodiment.home_position.copy()

    def begin(self, joints: np.ndarray) -> None:
        """Starts at measured joints (J,) [rad], with the hand open."""
        self._world.put_robot(joints)
        self._limb = Limb(self._world, self._hand)
        self._here, self._joints = self._limb.here(), np.array(joints, dtype=np.float64)

    def step(self, jog: Jog, duration_s: float) -> np.ndarray:
        """Joint targets (J,) [rad] one control step of `duration_s` [s] later; the same ones while nothing is asked for."""
        assert self._limb is not None
        assert self._here is not None
        if jog.still:
            return self._joints.copy()
        here = self._here
        velocity = np.array(jog.velocity) * [1.0, self._side, 1.0]  # a left hand is a right one in a mirror
        speed = float(np.linalg.norm(velocity))
        velocity *= min(1.0, FASTEST_M_PER_S / speed) if speed else 0.0
        position = np.clip(here.position + velocity * duration_s, LOW, HIGH)
        turn = self._side * float(np.clip(jog.turn_rad_per_s, -FASTEST_RAD_PER_S, FASTEST_RAD_PER_S))
        heading = float(np.clip(here.heading + turn * duration_s, *HEADING_RAD))
        grip = float(np.clip(jog.grip_per_s, -FASTEST_GRIP_PER_S, FASTEST_GRIP_PER_S))
        closure = float(np.clip(here.closure + grip * duration_s, 0.0, 1.0))
        wanted = self._limb.joints(position, heading, here.dip, closure)
        reached = self._limb.here().position
        if (away := float(np.linalg.norm(position - reached))) > LEASH_M:
            position = reached + (position - reached) * LEASH_M / away  # out of reach: do not run away from the arm
        most = self._limits * duration_s
        self._joints = self._joints + np.clip(wanted - self._joints, -most, most)
        self._here = replace(here, position=position, heading=heading, closure=closure)
        return self._joints.copy()

    @property
    def position(self) -> np.ndarray:
        """Where the grasp point is asked to be (3,) [m], in the base frame."""
        assert self._here is not None
        return self._here.position * [1.0, self._side, 1.0]

    @property
    def closure(self) -> float:
        """Of the fingers, 0 open to 1 closed."""
        return self._here.closure if self._here else 0.0

    def close(self) -> None:
        """Frees the planning world."""
        self._world.close()
