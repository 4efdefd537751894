"""The scripted expert: privileged poses in, absolute targets out, by smooth palm paths and inverse kinematics.

It grasps by a handshake power grasp from the side: the open hand, thumb opposed, slides past the object with the palm
beside it, closes, lifts, carries, stands the object on the target, opens and draws back the way it came. A fixture it
then pushes closed with a fist, of the same hand or of the other one. A hand that is closed at the start holds nothing: it
opens and draws back first.
"""

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.expert.closing import PRESS_S, Closing
from dial_core.sim.expert.limb import Limb, Waypoint
from dial_core.sim.expert.placing import Placing
from dial_core.sim.world import World

PERIOD_S = 0.05  # control period
HOLD_STEPS = 12  # held still at the end
NOT_BESIDE = (0.0, 0.0, 0.0)

DISTURBED_PHASES = ("approach", "carry", "retreat")
DISTURBANCE_RAD = 0.05
DISTURBANCE_MEMORY = 0.93  # of one control step


class Expert:
    """Solves one reset world, at 20 Hz: `world.advance(expert.action()[joints], 0.05)` until `done`."""

    def __init__(self, world: World, seed: int, beside_m: tuple[float, float, float] = NOT_BESIDE) -> None:
        """`beside_m`: how far from the object it closes the hand, along the fingers, along the palm's normal and up: to miss it."""
        self._world, self._beside_m = world, beside_m
        self._rng = np.random.default_rng([seed, 2])
        self._kinematics = ForwardKinematics(world.embodiment)
        self._limb = Limb(world, world.hand)
        self._disturbance = np.zeros(len(world.embodiment.joints))
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
        self._disturbance = memory * self._disturbance + np.where(self._limb.arm_joints, kick, 0.0)
        disturbed = action.copy()
        disturbed[self._world.embodiment.joint_slice] += self._disturbance.astype(action.dtype)
        return disturbed

    def _run(self) -> Iterator[np.ndarray]:
        """Joint targets (29,) [rad], one a control step; plans each stretch from the object's pose at its beginning."""
        limb = self._limb
        start = here = limb.here()
        placing = Placing(self._world, limb, self._rng, self._beside_m)
        for stretch in (placing.let_go, placing.pick, placing.place):
            for waypoint in stretch():
                yield from self._move(limb, here, waypoint)
                here = waypoint
        if self._world.slots[self._world.scene.goal.type].kind.joint:
            limb, here = yield from self._close(here, start)
        self.phase = "hold"
        joints = limb.joints(here.position, here.heading, here.dip, here.closure)
        for _ in range(HOLD_STEPS - 1):
            yield joints
        self.done = True
        while True:
            yield joints

    def _close(self, here: Waypoint, start: Waypoint) -> Generator[np.ndarray, None, tuple[Limb, Waypoint]]:
        """Pushes the fixture closed; gives the limb that did and where it ended."""
        joint = self._world.slots[self._world.scene.goal.type].kind.joint
        assert joint is not None
        limb = self._limb
        if joint.hand == "other":
            yield from self._move(limb, here, replace(start, phase="clear the way", closure=0.0, duration_s=1.1))
            limb = Limb(self._world, "left" if limb.hand == "right" else "right")
            here = limb.here()
        closing = Closing(self._world, limb)
        for waypoint in closing.approach():
            yield from self._move(limb, here, waypoint)
        self.phase = "close"
        steps = round(PRESS_S * self._pace / PERIOD_S)
        for step in range(1, steps + 1):
            here = Waypoint("close", *closing.push(_smooth(step / steps))[:2], closure=1.0, duration_s=0.0)
            yield limb.joints(here.position, here.heading, here.dip, 1.0)
        for waypoint in closing.withdraw():
            yield from self._move(limb, here, waypoint)
            here = waypoint
        return limb, here

    def _move(self, limb: Limb, start: Waypoint, end: Waypoint) -> Iterator[np.ndarray]:
        self.phase = end.phase
        steps = max(1, round(end.duration_s * self._pace / PERIOD_S))
        for step in range(1, steps + 1):
            position, heading, dip = end.at(_smooth(step / steps), start)
            # Fingers move at an even speed: they meet the object somewhere on the way and then press.
            closure = start.closure + step / steps * (end.closure - start.closure)
            yield limb.joints(position, heading, dip, closure)


def _smooth(s: float) -> float:
    """Minimum jerk: 10 s^3 - 15 s^4 + 6 s^5."""
    return s**3 * (10 - 15 * s + 6 * s * s)
