"""The scripted expert: privileged poses in, absolute targets out, by smooth palm paths and inverse kinematics.

It grasps by a handshake power grasp from the side: the open hand, thumb opposed, slides past the object with the palm
beside it, closes, lifts, carries, stands the object on the target, opens and draws back the way it came.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dial_core.kinematics import ForwardKinematics
from dial_core.sim.kinematic_arm import KinematicArm, palm_rotation
from dial_core.sim.model import TABLE_TOP_M
from dial_core.sim.world import World

PERIOD_S = 0.05  # control period

# The path, relative to the grasp.
DIP_RAD = 0.10  # fingers point a little downwards
STANDOFF_ALONG_M = 0.10  # before the grasp, against the fingers' direction
STANDOFF_ASIDE_M = 0.035  # and away from the palm's face: the open fingers pass beside the object
BOW_BACK_M = 0.10  # control point of the approach, behind the standoff
BOW_HEIGHT_M = 0.24  # and above the robot's base frame
GRASP_HEIGHT_M = 0.062  # grasp point above the table: the little finger just clears it
GRASP_SHORT_M = 0.01  # grasp point short of the object's centre
LIFT_M = 0.05
LOWER_M = 0.04  # carried this high above where it is put down
RELEASE_M = 0.003  # above the target when the hand opens
RETREAT_BACK_M = 0.05
RETREAT_ASIDE_M = 0.09
SPREAD_M = 0.01  # where on the target's middle it is put down, either way

# The hand: sums of two coupled hinges.
FINGERS_RAD = 2.3  # closed on an object of NOMINAL_RADIUS_M
NOMINAL_RADIUS_M = 0.028
CLOSURE_RAD_PER_M = 85.0  # closed further on thinner objects
THUMB_RAD = 1.3
THUMB_YAW_RAD = 1.6  # opposed to the fingers
THUMB_LEAD = 2.0  # closes this much sooner than the fingers and opens later: it keeps the object off the knuckles
HOLD_STEPS = 12  # held still at the end

DISTURBED_PHASES = ("approach", "carry", "retreat")
DISTURBANCE_RAD = 0.05
DISTURBANCE_MEMORY = 0.93  # of one control step


@dataclass(frozen=True)
class Waypoint:
    """Where the grasp point goes next: position [m], heading and dip of the fingers [rad], closure 0..1, duration [s]."""

    phase: str
    position: np.ndarray
    heading: float
    closure: float
    duration_s: float
    dip: float = DIP_RAD
    via: np.ndarray | None = None  # control point of a quadratic Bezier curve [m]; without one the way is straight


class Expert:
    """Solves one reset world, at 20 Hz: `world.advance(expert.action()[joints], 0.05)` until `done`."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = np.random.default_rng([seed, 2])
        embodiment = world.embodiment
        self._kinematics = ForwardKinematics(embodiment)
        self._arm = KinematicArm(world.robot_model, embodiment, world.task.hand)
        self._arm.start(world.set_points, posture=embodiment.home_position)
        groups = np.array([joint.group for joint in embodiment.joints])
        self._hand = np.flatnonzero(groups == f"{world.task.hand}_hand")
        self._disturbed = groups == f"{world.task.hand}_arm"
        self._disturbance = np.zeros(len(groups))
        self._heading, self._fingers = 0.0, FINGERS_RAD
        self._pace = self._rng.uniform(0.92, 1.08)
        self.phase = "approach"
        self.done = False
        self._references = self._run()

    def action(self) -> np.ndarray:
        """The next absolute target (47,) float32, to be reached one control period from now."""
        joints = next(self._references)
        return self._kinematics.state(joints)

    def disturb(self, action: np.ndarray) -> np.ndarray:
        """`action` (47,) with a slowly varying disturbance of the arm joints [rad] while nothing is being grasped.

        Executing this and recording the clean action shows a learner how to come back to the path.
        """
        amplitude = DISTURBANCE_RAD if self.phase in DISTURBED_PHASES else 0.0
        kick = self._rng.normal(0.0, amplitude * np.sqrt(1 - DISTURBANCE_MEMORY**2), len(self._disturbance))
        memory = DISTURBANCE_MEMORY if amplitude else 0.7
        self._disturbance = memory * self._disturbance + np.where(self._disturbed, kick, 0.0)
        disturbed = action.copy()
        disturbed[self._world.embodiment.joint_slice] += self._disturbance.astype(action.dtype)
        return disturbed

    def _run(self) -> Iterator[np.ndarray]:
        """Joint targets (29,) [rad], one a control step; plans each stretch from the object's pose at its beginning."""
        position, rotation = self._arm.palm_pose()
        ahead, left, up = -rotation[:, 2]
        here = Waypoint("approach", position, float(np.arctan2(left, ahead)), 0.0, 0.0, dip=-float(np.arcsin(up)))
        for stretch in (self._pick, self._place):
            for waypoint in stretch():
                self.phase = waypoint.phase
                yield from self._move(here, waypoint)
                here = waypoint
        self.phase = "hold"
        joints = self._joints(here.position, palm_rotation(here.heading, here.dip), here.closure)
        for _ in range(HOLD_STEPS - 1):
            yield joints
        self.done = True
        while True:
            yield joints

    def _pick(self) -> Iterator[Waypoint]:
        thing, centre = self._object()
        heading = float(np.clip(0.10 + 0.5 * (centre[1] + 0.25), 0.05, 0.3)) + self._rng.normal(0.0, 0.03)
        self._heading = heading
        self._fingers = FINGERS_RAD - CLOSURE_RAD_PER_M * (thing.radius - NOMINAL_RADIUS_M)
        fingers, normal = _directions(heading)
        grasp = np.array([*centre[:2], TABLE_TOP_M + GRASP_HEIGHT_M]) - GRASP_SHORT_M * fingers
        before = grasp - STANDOFF_ALONG_M * fingers - STANDOFF_ASIDE_M * normal
        # Bowed back and up: the fingertips keep clear of an object that stands between the hand and this one.
        start, _ = self._arm.palm_pose()
        via = np.array([before[0] - BOW_BACK_M, (start[1] + before[1]) / 2, BOW_HEIGHT_M])
        yield Waypoint("approach", before, heading, 0.0, 1.3, via=via)
        yield Waypoint("reach", grasp, heading, 0.0, 0.8, via=grasp - STANDOFF_ASIDE_M * normal)
        yield Waypoint("grasp", grasp, heading, 1.0, 0.7)
        yield Waypoint("lift", grasp + np.array([0.0, 0.0, LIFT_M]), heading, 1.0, 0.45)

    def _place(self) -> Iterator[Waypoint]:
        thing, centre = self._object()
        goal = self._world.scene.goal
        palm, _ = self._arm.palm_pose()
        spot = goal.xy + self._rng.uniform(-SPREAD_M, SPREAD_M, 2)
        heading = float(np.clip(0.30 + 2.0 * (spot[1] + 0.2), 0.25, 0.8))
        # The object keeps its place in the palm; only the palm's heading turns on the way.
        offset = _turn(heading - self._heading) @ (palm - centre)
        landing = np.array([*spot, TABLE_TOP_M + 2 * goal.half_height + thing.half_height + RELEASE_M]) + offset
        fingers, normal = _directions(heading)
        yield Waypoint("carry", landing + np.array([0.0, 0.0, LOWER_M]), heading, 1.0, 1.2)
        yield Waypoint("lower", landing, heading, 1.0, 0.5)
        yield Waypoint("release", landing, heading, 0.0, 0.6)
        # Away from thumb and palm at once: sliding along either would drag the object with it.
        diagonal = landing - RETREAT_BACK_M * (fingers + normal)
        away = landing - RETREAT_BACK_M * fingers - RETREAT_ASIDE_M * normal
        yield Waypoint("retreat", away, heading, 0.0, 0.9, via=diagonal)

    def _move(self, start: Waypoint, end: Waypoint) -> Iterator[np.ndarray]:
        steps = max(1, round(end.duration_s * self._pace / PERIOD_S))
        for step in range(1, steps + 1):
            s = _smooth(step / steps)
            via = (start.position + end.position) / 2 if end.via is None else end.via
            position = (1 - s) ** 2 * start.position + 2 * s * (1 - s) * via + s**2 * end.position
            heading = start.heading + s * (end.heading - start.heading)
            dip = start.dip + s * (end.dip - start.dip)
            # Fingers move at an even speed: they meet the object somewhere on the way and then press.
            closure = start.closure + step / steps * (end.closure - start.closure)
            yield self._joints(position, palm_rotation(heading, dip), closure)

    def _joints(self, position: np.ndarray, rotation: np.ndarray, closure: float) -> np.ndarray:
        joints = self._arm.follow(position, rotation)
        thumb = min(1.0, THUMB_LEAD * closure) * THUMB_RAD
        joints[self._hand] = [*[closure * self._fingers] * 4, thumb, THUMB_YAW_RAD]
        return joints

    def _object(self):
        scene = self._world.scene
        thing = scene.objects[scene.target]
        return thing, self._world.data.xpos[self._world.slots[thing.type].body].copy()


@dataclass(frozen=True)
class ExpertResult:
    """One expert episode: whether it succeeded, control steps used, and the phase it ended in."""

    seed: int
    instruction: str
    success: bool
    steps: int
    phase: str


def run_expert(seed: int, world: World, target: int | None = None) -> ExpertResult:
    """Resets `world` to `seed`, lets the expert solve it without pictures and judges the end."""
    world.reset(seed, target)
    expert = Expert(world, seed)
    steps, joints = 0, world.embodiment.joint_slice
    while not expert.done and steps < world.task.max_steps:
        world.advance(expert.action()[joints].astype(np.float64), PERIOD_S)
        steps += 1
    return ExpertResult(seed, world.instruction, world.success(), steps, expert.phase)


def _directions(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal directions of the fingers and of the right palm's normal (3,)."""
    rotation = palm_rotation(heading, 0.0)
    return -rotation[:, 2], rotation[:, 1]


def _turn(angle_rad: float) -> np.ndarray:
    """Rotation (3, 3) about the vertical."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _smooth(s: float) -> float:
    """Minimum jerk: 10 s^3 - 15 s^4 + 6 s^5."""
    return s**3 * (10 - 15 * s + 6 * s * s)
