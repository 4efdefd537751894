"""The expert closes a fixture: a fist follows the handle's path until it is closed. In the pushing hand's frame."""

from collections.abc import Iterator

import mujoco
import numpy as np

from dial_core.sim.expert.limb import DIP_RAD, FIST_RAD, Limb, Waypoint, directions
from dial_core.sim.world import World

FIST_RADIUS_M = 0.050  # of the ball around the closed hand
FIST_ASIDE_M = 0.022  # from that ball's middle to the grasp point, along the palm's normal
STANDOFF_M = 0.05  # of the ball before it touches
PRESS_S = 1.6  # of the push
OVERSHOOT = {"hinge": 0.14, "slide": 0.03}  # further than closed [rad, m]: the servo gives way
BACK_OFF_M = 0.10
OVER_M = 0.22  # height of the way to the handle


class Closing:
    """Waypoints and push of one fixture by one limb."""

    def __init__(self, world: World, limb: Limb) -> None:
        slot = world.slots[world.scene.goal.type]
        assert slot.kind.joint is not None
        assert slot.joint is not None
        self._world, self._limb, self._slot, self._joint = world, limb, slot, slot.kind.joint
        self._scratch = mujoco.MjData(world.model)
        self._scratch.qpos[:] = world.data.qpos
        self._opening = float(world.data.qpos[slot.joint])
        limb.grip_rad = FIST_RAD

    def approach(self) -> Iterator[Waypoint]:
        """Returns the waypoints from the current pose to just in front of the handle."""
        start = self._limb.here()
        position, heading = self.fist(self._opening, STANDOFF_M)
        via = np.array([(start.position[0] + position[0]) / 2, (start.position[1] + position[1]) / 2, OVER_M])
        yield Waypoint("turn to close", position, heading, 1.0, 1.3, via=via)

    def push(self, share: float) -> tuple[np.ndarray, float, float]:
        """Position (3,), heading and dip of the hand at `share` of the push."""
        last = -OVERSHOOT[self._joint.type]
        gap = STANDOFF_M * max(0.0, 1 - 5 * share)
        position, heading = self.fist(self._opening + share * (last - self._opening), gap)
        return position, heading, DIP_RAD

    def withdraw(self) -> Iterator[Waypoint]:
        """Returns the waypoints away from the closed front."""
        position, heading = self.fist(0.0, BACK_OFF_M)
        yield Waypoint("withdraw", position, heading, 1.0, 0.7)

    def fist(self, opening: float, gap_m: float) -> tuple[np.ndarray, float]:
        """Grasp point (3,) and heading of a fist that touches the handle at `opening` from `gap_m` away."""
        self._scratch.qpos[self._slot.joint] = opening
        mujoco.mj_kinematics(self._world.model, self._scratch)
        rotation = self._scratch.xmat[self._slot.moving].reshape(3, 3)
        point = self._limb.seen(self._scratch.xpos[self._slot.moving] + rotation @ np.array(self._joint.push_at))
        along = self._limb.seen(rotation @ np.array(self._joint.push_along))
        heading = float(np.clip(0.30 + 2.0 * (point[1] + 0.2), 0.1, 0.7)) if self._joint.type == "hinge" else 0.1
        _, normal = directions(heading)
        return point - (FIST_RADIUS_M + gap_m) * along + FIST_ASIDE_M * normal, heading
