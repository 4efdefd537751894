"""A guard with emulated controllers behind it, for the tests of the guard."""

from dataclasses import replace

import numpy as np

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.control.trajectory_checks import Tolerances
from dial_core.control.trajectory_guard import TrajectoryGuard
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")
LIMITS = Guard.for_embodiment(GR1)
ARM = GR1.controllers[0]
ARM_COLUMNS = GR1.indices(ARM.joints)
MS = 1_000_000
START_NS = 100 * NANOSECONDS
PERIOD_NS = 10 * MS


class Rig:
    """A guard, emulated controllers behind it, and joints that follow their set-points; time runs in controller periods."""

    def __init__(self, home=GR1.home_position):
        self.now_ns = START_NS
        self.guard = TrajectoryGuard(GR1, LIMITS, Tolerances())
        self.controllers = EmulatedControllers(GR1, PERIOD_NS)
        self.controllers.hold(np.array(home, dtype=float))
        self.set_points = [np.array(home, dtype=float)] * 3
        self.worst = 0.0  # share of a velocity or acceleration limit
        self.run(0.3)

    def run(self, seconds):
        for _ in range(round(seconds * NANOSECONDS / PERIOD_NS)):
            self.now_ns += PERIOD_NS
            set_point = self.controllers.sample(self.now_ns)
            self.set_points = [*self.set_points[-2:], set_point]
            velocity = np.diff(self.set_points, axis=0) * NANOSECONDS / PERIOD_NS
            acceleration = np.diff(velocity, axis=0) * NANOSECONDS / PERIOD_NS
            self.worst = max(self.worst, (np.abs(velocity) / LIMITS.velocity).max(), (np.abs(acceleration) / LIMITS.acceleration).max())
            assert (set_point >= LIMITS.lower - 2e-3).all()
            assert (set_point <= LIMITS.upper + 2e-3).all()
            self.guard.note_joints(self.now_ns, set_point)

    def offer(self, name, request, obstacle=None):
        """Offers a trajectory as the node does: one that fails stops all controllers."""
        stopped_before = self.guard.breach is not None
        passed = self.guard.offer(name, request, self.now_ns, obstacle)
        if passed:
            self.controllers.accept_one(name, request, self.now_ns)
        elif not stopped_before:
            for controller, motion in self.guard.holds(self.now_ns).items():
                self.controllers.accept_one(controller, request_of(controller, motion), self.now_ns)
        return passed

    def swing(self, delta=0.3, over_s=1.0, begins_s=0.1, **changes):
        """A trajectory of the arm from where it is commanded, first point ahead, to `delta` [rad] further and to rest."""
        start = self.set_points[-1][ARM_COLUMNS]
        times_ns = tuple(round((begins_s + share * over_s) * NANOSECONDS) for share in (0.0, 0.5, 1.0))
        middle = np.full(len(start), 1.5 * delta / over_s)
        request = TrajectoryRequest(
            ARM.joints,
            self.now_ns,
            times_ns,
            tuple(tuple((start + share * delta).tolist()) for share in (0.0, 0.5, 1.0)),
            tuple(tuple(v.tolist()) for v in (0 * middle, middle, 0 * middle)),
        )
        return replace(request, **changes)


def request_of(name, motion):
    joints = next(c.joints for c in GR1.controllers if c.name == name)
    times_ns = tuple(round(t * NANOSECONDS) for t in motion.times_s)
    return TrajectoryRequest(
        joints, motion.origin_ns, times_ns, *(tuple(map(tuple, p.tolist())) for p in (motion.positions, motion.velocities))
    )
