"""One arm with its hand, as the expert uses it: everything in the right hand's frame, mirrored for the left one."""

from dataclasses import dataclass

import numpy as np

from dial_core.robot.rotations import from_axis_angle
from dial_core.sim.expert.kinematic_arm import KinematicArm, palm_rotation
from dial_core.sim.world import World

DIP_RAD = 0.10  # fingers point a little downwards

# The hand: sums of two coupled hinges.
# 0.3 rad more than it takes to hold an object of NOMINAL_RADIUS_M: learners miss their targets by a tenth or two, and a hand that barely
# holds then lets go. Half a radian more (2.8) tips tall objects over as the hand opens.
FINGERS_RAD = 2.6
NOMINAL_RADIUS_M = 0.028
CLOSURE_RAD_PER_M = 85.0  # closed further on thinner objects
FIST_RAD = 3.1
THUMB_RAD = 1.3
THUMB_YAW_RAD = 1.6  # opposed to the fingers
THUMB_LEAD = 2.0  # closes this much sooner than the fingers and opens later: it keeps the object off the knuckles


@dataclass(frozen=True)
class Waypoint:
    """Where the grasp point goes next: position [m], heading and dip of the fingers [rad], closure 0..1, duration [s].

    Positions and headings are those of a right hand; a left one does the mirror image.
    """

    phase: str
    position: np.ndarray
    heading: float
    closure: float
    duration_s: float
    dip: float = DIP_RAD
    via: np.ndarray | None = None  # control point of a quadratic Bezier curve [m]; without one the way is straight

    def at(self, s: float, start: "Waypoint") -> tuple[np.ndarray, float, float]:
        """Position (3,), heading and dip at the share `s` of the way from `start`."""
        via = (start.position + self.position) / 2 if self.via is None else self.via
        position = (1 - s) ** 2 * start.position + 2 * s * (1 - s) * via + s**2 * self.position
        return position, start.heading + s * (self.heading - start.heading), start.dip + s * (self.dip - start.dip)


class Limb:
    """The `left` or `right` arm and hand of a world, starting at its set-points."""

    def __init__(self, world: World, hand: str) -> None:
        embodiment = world.embodiment
        self._world = world
        self.hand = hand
        self._mirror = np.array([1.0, 1.0 if hand == "right" else -1.0, 1.0])
        self._side = float(self._mirror[1])
        groups = np.array([joint.group for joint in embodiment.joints])
        self._fingers = np.flatnonzero(groups == f"{hand}_hand")
        self.arm_joints = groups == f"{hand}_arm"
        self._arm = KinematicArm(world.robot_model, embodiment, hand)
        self._arm.start(world.set_points, posture=embodiment.home_position)
        self.grip_rad = FINGERS_RAD

    def seen(self, vector: np.ndarray) -> np.ndarray:
        """A position or direction (3,) of the world as a right hand in this one's place sees it, and back."""
        return vector * self._mirror

    def here(self) -> Waypoint:
        """Where the hand is now, and how far it is closed."""
        position, rotation = self._arm.palm_pose()
        ahead, left, up = -rotation[:, 2]
        heading = float(np.arctan2(left * self._side, ahead))
        closure = float(self._world.set_points[self._fingers[0]] / self.grip_rad)
        return Waypoint("approach", self.seen(position), heading, closure, 0.0, dip=-float(np.arcsin(up)))

    def grip(self, radius_m: float) -> None:
        """How far closure 1 closes the fingers: onto an object of this radius."""
        self.grip_rad = FINGERS_RAD - CLOSURE_RAD_PER_M * (radius_m - NOMINAL_RADIUS_M)

    def joints(self, position: np.ndarray, heading: float, dip: float, closure: float) -> np.ndarray:
        """All joints (29,) [rad] after one control step towards the pose."""
        joints = self._arm.follow(self.seen(position), palm_rotation(self._side * heading, dip))
        thumb = min(1.0, THUMB_LEAD * closure) * THUMB_RAD
        joints[self._fingers] = [*[closure * self.grip_rad] * 4, thumb, THUMB_YAW_RAD]
        return joints


def directions(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal directions of the fingers and of the right palm's normal (3,)."""
    rotation = palm_rotation(heading, 0.0)
    return -rotation[:, 2], rotation[:, 1]


def turn(angle_rad: float) -> np.ndarray:
    """Rotation (3, 3) about the vertical."""
    return from_axis_angle(np.array([0.0, 0.0, angle_rad]))
