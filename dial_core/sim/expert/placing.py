"""The expert's pick and place: approach, grasp, lift, move to the target, lower, release, withdraw. In the right hand's frame."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dial_core.sim.expert.limb import Limb, Waypoint, directions, turn
from dial_core.sim.table_model import TABLE_TOP_M
from dial_core.sim.world import World

STANDOFF_ALONG_M = 0.10  # before the grasp, against the fingers' direction
STANDOFF_ASIDE_M = 0.035  # and away from the palm's face: the open fingers pass beside the object
BOW_BACK_M = 0.10  # control point of the approach, behind the standoff
BOW_HEIGHT_M = 0.24  # and above the robot's base frame
GRASP_HEIGHT_M = 0.062  # grasp point above what the object stands on: the little finger just clears it
GRASP_BELOW_TOP_M = 0.055  # the index finger holds the body, not the neck, and what is held does not tip
HAND_DEPTH_M = 0.042  # from the grasp point to the lower edge of the hand
GRASP_SHORT_M = 0.01  # grasp point short of the object's centre
LIFT_M = 0.05
LOWER_M = 0.04  # carried this high above where it is put down
RIM_CLEARANCE_M = 0.025  # of a carried object over a wall
HAND_CLEARANCE_M = 0.008  # of the hand over a wall, when it opens
RELEASE_M = 0.003  # above the target when the hand opens
RETREAT_BACK_M = 0.05
RETREAT_ASIDE_M = 0.09
RETREAT_UP_M = 0.05  # out of a container
SPREAD_M = 0.01  # where on the target's middle it is put down, either way
ENTER_HEIGHT_M = 0.014  # above a fixture's floor on the way in
ENTER_HEADING_RAD = 0.22
ASIDE_INSIDE_M = 0.045  # from the object before the hand leaves a fixture
LEAVE_M = 0.05  # further out than where it came in
OPEN_CLOSURE = 0.05


class Placing:
    """Waypoints for one object. `pick` first, then `place`: each is planned from the poses at its start."""

    def __init__(self, world: World, limb: Limb, rng: np.random.Generator, beside_m: tuple[float, float, float]) -> None:
        self._world, self._limb, self._rng, self._beside_m = world, limb, rng, beside_m
        self._heading = 0.0
        self._thing = world.scene.objects[world.scene.target]
        self._place = world.slots[world.scene.goal.type]
        self._wall = self._wall_m()

    def let_go(self) -> Iterator[Waypoint]:
        """Returns the waypoints of a hand that is closed and holds nothing: open, and away from what it may have touched."""
        here = self._limb.here()
        if here.closure < OPEN_CLOSURE:
            return
        fingers, normal = directions(here.heading)
        away = here.position - STANDOFF_ALONG_M * fingers - STANDOFF_ASIDE_M * normal
        yield replace(here, phase="let go", closure=0.0, duration_s=0.5)
        yield replace(here, phase="draw back", position=away, closure=0.0, duration_s=0.6)

    def pick(self) -> Iterator[Waypoint]:
        """Returns the waypoints to the object and up with it."""
        thing, centre = self._thing, self._centre()
        heading = float(np.clip(0.10 + 0.5 * (centre[1] + 0.25), 0.05, 0.3)) + self._rng.normal(0.0, 0.03)
        self._heading = heading
        self._limb.grip(thing.radius)
        fingers, normal = directions(heading)
        grasp = np.array([*centre[:2], TABLE_TOP_M + thing.base + self._grasp_height()]) - GRASP_SHORT_M * fingers
        grasp += np.stack([fingers, normal, [0.0, 0.0, 1.0]], axis=1) @ np.array(self._beside_m)
        before = grasp - STANDOFF_ALONG_M * fingers - STANDOFF_ASIDE_M * normal
        # Bowed back and up: the fingertips keep clear of an object that stands between the hand and this one.
        start = self._limb.here().position
        via = np.array([before[0] - BOW_BACK_M, (start[1] + before[1]) / 2, BOW_HEIGHT_M])
        yield Waypoint("approach", before, heading, 0.0, 1.3, via=via)
        yield Waypoint("reach", grasp, heading, 0.0, 0.8, via=grasp - STANDOFF_ASIDE_M * normal)
        yield Waypoint("grasp", grasp, heading, 1.0, 0.7)
        rise = max(LIFT_M, self._rim_m() + RIM_CLEARANCE_M - thing.base)
        yield Waypoint("lift", grasp + np.array([0.0, 0.0, rise]), heading, 1.0, 0.45 * max(1.0, rise / 0.08))

    def place(self) -> Iterator[Waypoint]:
        """Returns the waypoints to the target, down, and away from it."""
        room = self._place.kind.inside
        if room and room.enter_m:
            yield from self._into(room.enter_m)
            return
        spot = self._spot()
        if room is None:
            spot[:2] += self._rng.uniform(-SPREAD_M, SPREAD_M, 2)
        heading = float(np.clip(0.30 + 2.0 * (spot[1] + 0.2), 0.25, 0.8))
        landing = self._landing(spot, heading) + np.array([0.0, 0.0, self._drop_m()])
        fingers, normal = directions(heading)
        above = max(LOWER_M, self._wall + RIM_CLEARANCE_M - self._drop_m()) if self._wall else LOWER_M
        yield Waypoint("carry", landing + np.array([0.0, 0.0, above]), heading, 1.0, 1.2)
        yield Waypoint("lower", landing, heading, 1.0, 0.5)
        yield Waypoint("release", landing, heading, 0.0, 0.6)
        # Away from thumb and palm at once: sliding along either would drag the object with it.
        up = np.array([0.0, 0.0, RETREAT_UP_M if self._wall else 0.0])
        diagonal = landing - RETREAT_BACK_M * (fingers + normal) + up / 4
        away = landing - RETREAT_BACK_M * fingers - RETREAT_ASIDE_M * normal + up
        yield Waypoint("retreat", away, heading, 0.0, 0.9, via=diagonal)

    def _into(self, enter_m: float) -> Iterator[Waypoint]:
        """Through the front of a fixture and out again."""
        heading = ENTER_HEADING_RAD
        landing = self._landing(self._spot(), heading)
        above = landing + np.array([0.0, 0.0, ENTER_HEIGHT_M])
        before = above - np.array([enter_m, 0.0, 0.0])
        fingers, normal = directions(heading)
        yield Waypoint("carry", before, heading, 1.0, 1.2)
        yield Waypoint("enter", above, heading, 1.0, 1.1)
        yield Waypoint("lower", landing, heading, 1.0, 0.3)
        yield Waypoint("release", landing, heading, 0.0, 0.6)
        diagonal = landing - ASIDE_INSIDE_M * (fingers + normal) / 2
        yield Waypoint("retreat", landing - ASIDE_INSIDE_M * (fingers + normal), heading, 0.0, 0.7, via=diagonal)
        # Along the fingers: straight back they would sweep sideways and take the object with them.
        out = enter_m + LEAVE_M
        yield Waypoint("leave", landing - out * fingers - ASIDE_INSIDE_M * normal, heading, 0.0, 0.9)

    def _centre(self) -> np.ndarray:
        world = self._world
        return self._limb.seen(world.data.xpos[world.slots[self._thing.type].body].copy())

    def _spot(self) -> np.ndarray:
        """Where the object's bottom goes (3,) [m]."""
        world, kind = self._world, self._place.kind
        if kind.inside:
            body = self._place.moving if kind.inside.moves else self._place.body
            point = world.data.xpos[body] + world.data.xmat[body].reshape(3, 3) @ np.array(kind.inside.spot)
            return self._limb.seen(point)
        goal = world.scene.goal
        xy = self._limb.seen(np.array([*goal.xy, 0.0]))[:2]
        return np.array([*xy, TABLE_TOP_M + 2 * goal.half_height * kind.floor])

    def _landing(self, spot: np.ndarray, heading: float) -> np.ndarray:
        """Where the palm is when the object's bottom is just above `spot`.

        The object keeps its place in the palm; only the palm's heading turns on the way.
        """
        offset = turn(heading - self._heading) @ (self._limb.here().position - self._centre())
        return np.array([*spot[:2], spot[2] + self._thing.half_height + RELEASE_M]) + offset

    def _wall_m(self) -> float:
        """How far the target's wall stands above where the object will stand."""
        kind, goal = self._place.kind, self._world.scene.goal
        if kind.inside:
            return kind.inside.wall_m
        return 2 * goal.half_height * (1.0 - kind.floor)

    def _rim_m(self) -> float:
        """The highest edge on the way, above the table."""
        kind, goal = self._place.kind, self._world.scene.goal
        return kind.inside.spot[2] + kind.inside.wall_m if kind.inside else 2 * goal.half_height

    def _grasp_height(self) -> float:
        """Above the object's bottom: as low as the hand can, higher if it will reach over a wall and the object is tall."""
        source = self._world.scene.source
        wall = max(self._wall, 2 * source.half_height - self._thing.base)
        wanted = wall + HAND_DEPTH_M + HAND_CLEARANCE_M
        return float(np.clip(wanted, GRASP_HEIGHT_M, max(GRASP_HEIGHT_M, 2 * self._thing.half_height - GRASP_BELOW_TOP_M)))

    def _drop_m(self) -> float:
        """How far the object falls when the hand, which must not touch the wall, opens."""
        return max(0.0, self._wall + HAND_DEPTH_M + HAND_CLEARANCE_M - self._grasp_height()) if self._wall else 0.0
